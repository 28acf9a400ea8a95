"""Words and digits, said by `espeak-ng` in many voices, for `speech.py`: made and read.

Said are the 2,048 words of BIP-39 in mnemonic (MIT), numbers, days, months, the alphabet
of radio, and strings of digits; by variants of the voices of `espeak-ng` 1.51 (GPL-3+;
Debian: `apt install espeak-ng`), slow and fast, low and high. Held-out words are drawn,
held-out variants written down. `recordings` are by a person: Allison Smith's for Asterisk
(CC BY-SA 3.0; Debian: `apt install asterisk-core-sounds-en-wav`).
"""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from options import data_file, fail
from scipy.io import wavfile
from scipy.signal import resample_poly, stft

RATE, WINDOW, HOP, MELS, STACKED = 8000, 256, 80, 32, 3  # a frame each 10 ms
DIGITS = "zero one two three four five six seven eight nine".split()
TENS = """ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
twenty thirty forty fifty sixty seventy eighty ninety""".split()
DAYS = [f"{name}day" for name in "sun mon tues wednes thurs fri satur".split()]
MONTHS = """january february march april may june july august september october november
december""".split()
RADIO = """alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike
november oscar papa quebec romeo sierra tango uniform victor whiskey xray yankee
zulu""".split()
COMMON = [*DIGITS, *TENS, *DAYS, *MONTHS, *RADIO]
ACCENTS = "en-us en-us en-gb en-gb-x-rp en-gb-scotland en-029".split()
KNOWN_VOICES = """f1 f2 f4 m1 m2 m4 m5 m7 Alex Alicia Andrea Annie Denis Diogo Gene
Henrique Hugo Jacky Marco Michael adam antonio belinda benjamin caleb david ed gustave
iven john linda marcelo max michel norbert pablo pedro quincy robert sandro steph travis
zac""".split()
CHOICE_VOICES = "f3 m6 Mario victor".split()  # for choices alone
NEW_VOICES = "f5 m3 m8 Andy Lee Nguyen boris miguel paul rob shelby edward".split()


class Speech(NamedTuple):
    texts: list[str]
    frames: list[np.ndarray]  # log-mel (time, feature), each of 30 ms


def words() -> tuple[list[str], list[str], list[str]]:
    """To train on, for choices, and to test on: each word in one of the parts."""
    path = data_file("mnemonic", "mnemonic/wordlist/english.txt", "speech")
    rest = sorted({*path.read_text("utf-8").split()} - {*COMMON})
    drawn = np.random.default_rng(0).permutation(rest).tolist()
    return sorted({*COMMON, *drawn[400:]}), drawn[:200], drawn[200:400]


def mel_filters() -> np.ndarray:
    """Triangles (frequency, band), even on the mel scale from 100 to 3,800 Hz."""
    low, high = 2595 * np.log10(1 + np.array([100, 3800]) / 700)
    mels = np.linspace(low, high, MELS + 2)
    corners, hertz = 700 * (10 ** (mels / 2595) - 1), np.fft.rfftfreq(WINDOW, 1 / RATE)
    rises = (hertz[:, None] - corners[:-1]) / np.diff(corners)  # from corner to corner
    return np.maximum(0, np.minimum(rises[:, :-1], 1 - rises[:, 1:]))


def features(sound: np.ndarray) -> np.ndarray:
    """Log-mel frames of a sound at 8 kHz, silence cut off, three in a row as one step."""
    sound = np.append(sound[0], sound[1:] - 0.95 * sound[:-1])  # the highs are faint
    spectrum = np.abs(stft(sound, RATE, "hann", WINDOW, WINDOW - HOP)[2]).T
    loud = np.sum(spectrum**2, axis=1)
    heard = np.flatnonzero(loud > 1e-4 * loud.max())
    spectrum = spectrum[max(heard[0] - 4, 0) : heard[-1] + 5]
    power = spectrum**2 @ mel_filters()
    frames = np.log(power + 1e-5 * power.max())
    frames = (frames - frames.mean(axis=0)) / frames.std()  # no loudness, no microphone
    frames = np.pad(frames, ((0, -len(frames) % STACKED), (0, 0)), mode="edge")
    return frames.reshape(-1, STACKED * MELS).astype(np.float32)


def say(text: str, accent: str, variant: str, speed: int, pitch: int) -> np.ndarray:
    command = f"espeak-ng --stdout -v {accent}+{variant} -s {speed} -p {pitch}".split()
    said = subprocess.run([*command, text], capture_output=True, check=True).stdout
    sound = np.frombuffer(said[44:], "<i2").astype(np.float32)  # at 22,050 Hz
    return features(resample_poly(sound, 160, 441))


def scripts(count: int) -> dict[str, list[tuple]]:
    """What is said, by whom, how fast and how high, in each part; `count` to train on."""
    rng, (train, choice, new) = np.random.default_rng(1), words()

    def strings(number: int) -> list[str]:
        return [" ".join(rng.choice(DIGITS, n)) for n in rng.integers(2, 6, number)]

    def drawn(vocabulary: Any, number: int) -> list:
        return np.resize(rng.permutation(vocabulary), number).tolist()

    def spoken(texts: list[str], variants: Any) -> list[tuple]:
        draws = partial(rng.choice, ACCENTS), partial(rng.choice, variants)
        draws += partial(rng.integers, 120, 200), partial(rng.integers, 25, 75)
        return [(text, *[draw() for draw in draws]) for text in texts]

    texts = strings(count // 4) + drawn(COMMON, count // 8)
    texts += drawn(train, count - len(texts))
    parts, some = {"train": spoken(texts, KNOWN_VOICES)}, count // 40
    texts = strings(some) + drawn(train, some) + drawn(choice, some)
    parts["choice"] = spoken(texts, CHOICE_VOICES)
    for who, variants in (("known voices", KNOWN_VOICES), ("new voices", NEW_VOICES)):
        parts[f"known words, {who}"] = spoken(drawn(train, some), variants)
        parts[f"new words, {who}"] = spoken(drawn(new, some), variants)
        parts[f"digit strings, {who}"] = spoken(strings(some), variants)
    return parts


def speech(folder: Path, count: int, bar: Any) -> dict[str, Speech]:
    """All parts, made once and then read from a file in the folder."""
    path, begun = folder / f"speech-{count}.npz", folder / "begun.npz"
    plan = [(part, *how) for part, hows in scripts(count).items() for how in hows]
    kept: Any = np.load(path) if path.exists() else {"plan": []}
    if np.array_equal(kept["plan"], np.array(plan)):
        frames = np.split(kept["frames"].astype(np.float32), kept["ends"][:-1])
    else:
        if shutil.which("espeak-ng") is None:
            fail("words are said by espeak-ng: apt install espeak-ng")
        frames = []
        with ThreadPoolExecutor() as pool:  # each waits for a process of its own
            for one in pool.map(lambda how: say(*how[1:]), plan):
                frames.append(one)
                bar(completed=len(frames), total=len(plan))
        ends, steps = np.cumsum([len(f) for f in frames]), np.concatenate(frames)
        np.savez(begun, plan=plan, frames=steps.astype(np.float16), ends=ends)
        begun.replace(path)  # all of it, or nothing
    parts = {part: Speech([], []) for part, *_ in plan}
    for (part, text, *_), one in zip(plan, frames, strict=True):
        parts[part].texts.append(text)
        parts[part].frames.append(one)
    return parts


def recordings(folder: Path) -> Speech | None:
    """Numbers, days, months and the alphabet of radio, if they are installed."""
    names = [f"digits/{i}" for i in (*range(20), *range(20, 100, 10))]
    names += [f"digits/day-{i}" for i in range(7)] + [
        f"digits/mon-{i}" for i in range(12)
    ]
    names += [f"phonetic/{text[0]}_p" for text in RADIO]
    spoken = Speech([], [])
    for name, text in zip(names, COMMON, strict=True):
        if (path := folder / f"{name}.wav").exists():
            spoken.texts.append(text)
            spoken.frames.append(features(wavfile.read(path)[1].astype(np.float32)))
    return spoken if spoken.texts else None
