"""The figures: what is drawn is what was given."""

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import jaxrnn
from jaxrnn import plotting

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SPECTRUM = jaxrnn.LyapunovSpectrum(
    jnp.array([[0.1, -1.0, -jnp.inf], [0.3, -2.0, -jnp.inf]]),
    jnp.array([[0.03, 0.0, jnp.nan], [0.04, 0.0, jnp.nan]]),
    jnp.zeros((4, 2, 3)),
)
NORMS = np.array([[0.0, 0.0], [4.0, 2.0], [1.0, 0.5]])  # (3, batch of 2)
MAP = np.tril(np.array([[1.0, 0, 0], [0.1, 2, 0], [0.01, 0.5, 3]]))
GATE = np.array([[0.0, 0.5, 0.99], [0.2, 0.2, 0.9]])[:, None]  # (2, 1, 3)
DRAWN = {
    "gradient_norms": (plotting.gradient_norms, {"layer 1": NORMS, "layer 2": NORMS}),
    "lag_profile": (plotting.lag_profile, {"h": NORMS, "c": NORMS}),
    "gradient_map": (plotting.gradient_map, MAP),
    "singular_values": (plotting.singular_values, np.log([[1.0, 0.1], [1.0, 0.01]])),
    "lyapunov_spectrum": (plotting.lyapunov_spectrum, {"Elman": SPECTRUM}),
    "gate_histogram": (plotting.gate_histogram, GATE),
    "attention": (plotting.attention, np.array([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]])),
    "eigenvalues": (plotting.eigenvalues, {"turn": np.array([[0.0, -2.0], [2.0, 0.0]])}),
}


def lines(ax):
    """By label, what is drawn of it."""
    return {line.get_label(): line.get_xydata() for line in ax.get_lines()}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_into_the_axes_given_and_says_what_it_shows(name):
    draw, values = DRAWN[name]
    _, given = plt.subplots()
    ax = draw(values, given)
    assert ax is given and draw(values) is not given
    assert ax.get_title() and ax.get_xlabel() and ax.get_ylabel()
    assert draw(values, title="mine").get_title() == "mine"
    handles, labels = ax.get_legend_handles_labels()
    assert (ax.get_legend() is not None) == bool(labels) == bool(handles)
    labels = [text.get_text() for text in ax.get_legend().get_texts()] if labels else []
    if isinstance(values, dict):
        assert set(values) <= set(labels)
    ax.figure.canvas.draw()  # warnings are errors


def test_norms_are_means_over_the_batch():
    ax = plotting.gradient_norms({"a": NORMS, "b": 2 * NORMS})
    drawn = lines(ax)
    np.testing.assert_allclose(drawn["a"], [[0, np.nan], [1, 3], [2, 0.75]])
    np.testing.assert_allclose(drawn["b"], [[0, np.nan], [1, 6], [2, 1.5]])
    assert ax.get_yscale() == "log"
    styles = {line.get_linestyle() for line in ax.get_lines()}
    assert len(styles) == 2  # legible in grey


def test_a_profile_is_relative_to_the_first_lag_that_is_not_zero():
    ax = plotting.lag_profile({"c": NORMS})
    np.testing.assert_allclose(lines(ax)["c"], [[0, np.nan], [1, 1], [2, 0.25]])
    levels = [line.get_ydata()[0] for line in ax.get_lines()]
    assert 1 / np.e in levels


def test_a_profile_of_zeros_is_an_empty_line():
    drawn = lines(plotting.lag_profile({"dead": np.zeros(4)}))["dead"]
    assert np.isnan(drawn[:, 1]).all()


def test_a_map_has_a_row_for_every_loss_and_no_colour_for_zero():
    ax = plotting.gradient_map(np.stack([MAP, 3 * MAP], -1))
    (image,) = ax.get_images()
    shown = image.get_array()
    np.testing.assert_allclose(shown.filled(0), 2 * MAP)
    np.testing.assert_array_equal(shown.mask, MAP == 0)
    assert image.norm.vmin == pytest.approx(0.02) and image.norm.vmax == 6


def test_bands_are_quantiles_in_powers_of_ten():
    logs = np.log(10.0) * np.array([[-4, -3, -2, -1, 0], [-8, -6, -4, -2, -3]])
    ax = plotting.singular_values(logs)
    drawn = lines(ax)
    np.testing.assert_allclose(drawn["median"], [[1, -2], [2, -4]])
    np.testing.assert_allclose(drawn["largest, the norm"], [[1, 0], [2, -2]])
    whole, half = (band.get_paths()[0].vertices for band in ax.collections)
    assert {(1, -4), (1, 0), (2, -8), (2, -2)} <= set(map(tuple, whole.round(9)))
    assert {(1, -3), (1, -1)} <= set(map(tuple, half.round(9)))


def test_what_is_rounding_is_not_drawn():
    """float32 tells singular values apart down to 1.2e-7 of the largest."""
    logs = np.log(10.0) * np.array([[-20, -12, 0], [-20, -12, 0], [-np.inf, -12, -1]])
    ax = plotting.singular_values(logs.astype("float32"))
    floor = np.array([0, 0, -1]) + np.log10(2.0**-23)
    drawn = lines(ax)
    np.testing.assert_allclose(drawn["median"][:, 1], floor)
    np.testing.assert_allclose(drawn["below: rounding in float32"][:, 1], floor)


def test_exponents_are_means_with_two_standard_errors_and_none_of_minus_infinity():
    ax = plotting.lyapunov_spectrum({"Elman": SPECTRUM})
    np.testing.assert_allclose(lines(ax)["Elman"], [[1, 0.2], [2, -1.5], [3, np.nan]])
    (band,) = (one.get_paths()[0].vertices for one in ax.collections)
    error = 0.05 / 2  # root of the sum of squares over the number of examples
    low, high = 0.2 - 2 * error, 0.2 + 2 * error
    found = band[np.isclose(band[:, 0], 1), 1]
    np.testing.assert_allclose([found.min(), found.max()], [low, high], rtol=1e-6)


def test_examples_without_steps_are_not_in_the_mean_of_exponents():
    spectrum = jaxrnn.LyapunovSpectrum(
        jnp.array([[-1.0, -2.0], [0.0, 0.0]]),
        jnp.array([[0.1, 0.1], [jnp.inf, jnp.inf]]),
        jnp.zeros((4, 2, 2)),
    )
    ax = plotting.lyapunov_spectrum({"Elman": spectrum})
    np.testing.assert_allclose(lines(ax)["Elman"], [[1, -1], [2, -2]])


def test_a_profile_weighs_examples_by_their_counts():
    norms = np.array([[1.0, 1.0], [1.0, 0.0]])
    counts = np.array([[5, 5], [5, 0]])
    profile = jaxrnn.LagProfile(norms, counts)
    ax = plotting.lag_profile({"GRU": profile, "equal": norms})
    np.testing.assert_allclose(lines(ax)["GRU"], [[0, 1], [1, 1]])
    np.testing.assert_allclose(lines(ax)["equal"], [[0, 1], [1, 0.5]])
    both = jaxrnn.LSTMCarry(h=norms, c=np.array([[1.0, 9.0], [0.5, 9.0]]))
    drawn = lines(plotting.lag_profile(jaxrnn.LagProfile(both, counts)))
    np.testing.assert_allclose(drawn["h"], [[0, 1], [1, 1]])
    np.testing.assert_allclose(drawn["c"], [[0, 1], [1, 0.1]])


@pytest.mark.slow
def test_what_a_function_returns_is_drawn_leaf_by_leaf():
    """Of an LSTM h and c, which are no two steps; of a stack every layer's."""
    cell = jaxrnn.Stack((jaxrnn.GRU(2, 3), jaxrnn.LSTM(3, 4)))
    params = cell.init(jax.random.key(0))
    xs = jnp.ones((3, 2, 2))
    norms = jaxrnn.gradient_norms(lambda ys: jnp.sum(ys**2), cell, params, xs)
    expected = {"[0]": norms[0], "[1].h": norms[1].h, "[1].c": norms[1].c}
    for values, prefix in ((norms, ""), ({"deep": norms}, "deep ")):
        drawn = lines(plotting.gradient_norms(values))
        assert list(drawn) == [prefix + name for name in expected]
        for name, leaf in expected.items():
            y = np.where(leaf.mean(1) > 0, leaf.mean(1), np.nan)
            np.testing.assert_allclose(drawn[prefix + name][:, 1], y)
    assert list(lines(plotting.gradient_norms(norms[0]))) == ["carry"]
    np.testing.assert_allclose(
        lines(plotting.lyapunov_spectrum(SPECTRUM))["exponents"],
        lines(plotting.lyapunov_spectrum({"Elman": SPECTRUM}))["Elman"],
    )
    maps = jaxrnn.LSTMCarry(MAP, MAP)
    with pytest.raises(ValueError, match=r"norms has the leaves h, c, expected one"):
        plotting.gradient_map(maps)
    shown = plotting.gradient_map((MAP,)).get_images()[0].get_array()
    np.testing.assert_allclose(shown.filled(0), MAP)


def test_rows_of_some_lags_are_drawn_at_those_lags():
    logs = np.log([[1.0, 0.1], [0.5, 0.01], [2.0, 1.0]])
    ax = plotting.singular_values(logs, lags=(10, 50, 1))
    largest = lines(ax)["largest, the norm"]
    np.testing.assert_allclose(
        largest, [[1, np.log10(2)], [10, 0], [50, np.log10(0.5)]], atol=1e-12
    )
    with pytest.raises(ValueError, match="lags has shape"):
        plotting.singular_values(logs, lags=(1, 2))


def test_steps_that_do_not_count_are_no_closed_gates():
    where = np.array([[True], [False]])
    ax = plotting.gate_histogram(GATE, where=where)
    (image,) = ax.get_images()
    np.testing.assert_allclose(image.get_array().sum(0), [1, 0])
    np.testing.assert_allclose(lines(ax)["median"], [[0, 0.5], [1, np.nan]])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gradient_norms", {"one": np.ones(1)}),
        ("gradient_norms", {"zero": np.zeros(4)}),
        ("gradient_norms", {"odd": np.array([1.0, np.nan, np.inf])}),
        ("lag_profile", {"one": np.ones(1), "zero": np.zeros(1)}),
        ("gradient_map", np.array([[1.0, 0.0], [np.inf, np.nan]])),
        ("gradient_map", np.zeros((2, 2))),
        ("singular_values", np.array([[0.0, -1], [-np.inf, -np.inf]])),
        ("singular_values", jnp.zeros((2, 3), "bfloat16")),
        ("singular_values", np.zeros((1, 1), int)),
        ("gate_histogram", np.full((3, 1, 2), np.nan)),
        ("gate_histogram", 3 * GATE),
        ("eigenvalues", {"one": np.ones((1, 1))}),
        (
            "lyapunov_spectrum",
            {"one": jaxrnn.LyapunovSpectrum(-jnp.ones(1), jnp.ones(1), jnp.ones((1, 1)))},
        ),
    ],
)
def test_odd_input_is_drawn_without_a_warning(name, values):
    ax = getattr(plotting, name)(values)
    ax.figure.canvas.draw()
    for line in ax.get_lines():
        if np.isfinite(line.get_ydata()).sum() == 1 and line.get_label() == "one":
            assert line.get_marker() == "o"  # a line of one point is not seen


def test_lines_differ_without_colour():
    ax = plotting.gradient_norms({str(i): np.ones(3) for i in range(16)})
    looks = {(line.get_linestyle(), line.get_marker()) for line in ax.get_lines()}
    assert len(looks) == 16


def test_a_histogram_has_a_column_for_each_step():
    ax = plotting.gate_histogram(GATE)
    (image,) = ax.get_images()
    shown = image.get_array()
    assert shown.shape == (40, 2)
    np.testing.assert_allclose(shown.sum(0), 1)
    np.testing.assert_allclose(shown[[0, 20, 39], 0], 1 / 3)
    np.testing.assert_allclose(lines(ax)["median"], [[0, 0.5], [1, 0.2]])
    assert plotting.gate_histogram(2 * GATE - 1).get_ylim() == (-1, 1)


def test_eigenvalues_are_points_of_the_plane():
    ax = plotting.eigenvalues({"turn": np.array([[0.0, -2.0], [2.0, 0.0]])})
    (points,) = ax.collections
    assert {tuple(p) for p in points.get_offsets().round(9)} == {(0, 2), (0, -2)}
    circle = lines(ax)["unit circle"]
    np.testing.assert_allclose(np.hypot(*circle.T), 1)


def test_a_report_draws_its_profiles():
    fading = jaxrnn.gradients.report.Fading(np.array([2.0, 1.0]), 2.0, -0.7, 1.4, 6.6)
    report = jaxrnn.GradientReport(jaxrnn.Elman(2, 3), {"h": fading}, {})
    _, given = plt.subplots()
    ax = report.plot(given)
    assert ax is given
    np.testing.assert_allclose(lines(ax)["h"], [[0, 1], [1, 0.5]])


def test_what_is_no_measurement_is_refused():
    with pytest.raises(TypeError, match="got a ndarray, expected a LyapunovSpectrum"):
        plotting.lyapunov_spectrum(NORMS)
    for draw in (plotting.gradient_norms, plotting.lag_profile):
        with pytest.raises(ValueError, match=f"{draw.__name__}: 'h' is a number"):
            draw({"h": 0.5})


def test_attention_is_drawn_as_it_is_and_cut_to_what_was_read_and_said():
    weights = np.array([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(
        plotting.attention(weights).images[0].get_array(), weights
    )
    ax = plotting.attention(weights, read="ab", said=["A", "B"])
    np.testing.assert_array_equal(ax.images[0].get_array(), weights[:2, :2])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "B"]
    with pytest.raises(ValueError, match=r"shape \(1, 3, 3\), expected \(T, S\)"):
        plotting.attention(weights[None])
    with pytest.raises(ValueError, match="nothing to draw"):
        plotting.attention(weights, said=[])
    with pytest.raises(ValueError, match="read has 4 labels, expected at most 3"):
        plotting.attention(weights, read="abcd")
