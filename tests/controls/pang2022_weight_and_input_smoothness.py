"""Negative controls of notebooks/pang2022/weight_and_input_smoothness."""

import math

import sympy as sp
import torch
import z3
from negative_controls import control

from advsmooth import checks, data, settings
from advsmooth.theory import weight_input as wi

THM = "pang2022-thm1"
W = sp.Matrix(2, 2, sp.symbols("w11 w12 w21 w22"))
H = sp.Matrix(2, 2, sp.symbols("h1 h2 h2 h3"))
V = sp.Matrix(2, 2, sp.symbols("v11 v12 v21 v22"))
X, D = sp.Matrix(sp.symbols("x1 x2")), sp.Matrix(sp.symbols("d1 d2"))


def example(shape=(6, 4, 3), inputs=8, seed=0):
    """Networks with biases, inputs and labels, as on the page."""
    g = settings.generator(seed)
    nets = wi.random_mlp(shape, seeds=[0, 1, 2], bias_std=0.5)
    x = 2 * torch.randn(inputs, shape[0], generator=g, dtype=torch.float64)
    return nets, x, torch.randint(shape[-1], (inputs,), generator=g)


# ---------------------------------------------------------------- algebra


@control(THM, "hessian-in-weights")
def columns_instead_of_rows():
    """The columns of V one after another do not belong to H kron x x^T."""
    columns = sp.Matrix(list(V.T))
    right = (columns.T * sp.kronecker_product(H, X * X.T) * columns)[0]
    return checks.identity("hessian-in-weights", "", left=((V * X).T * H * V * X)[0], right=right)


@control(THM, "hessian-in-input")
def weights_on_the_wrong_side():
    return checks.identity("hessian-in-input", "", left=((W * D).T * H * W * D)[0], right=(D.T * W * H * W.T * D)[0])


@control(THM, "kronecker-spectrum")
def spectrum_without_the_square():
    """|x| in place of |x|^2."""
    t = sp.Symbol("t")
    norm = sp.sqrt((X.T * X)[0])
    left = sp.kronecker_product(H, X * X.T).charpoly(t).as_expr()
    return checks.identity("kronecker-spectrum", "", left=left, right=t**2 * (norm * H).charpoly(t).as_expr())


@control(THM, "rank-one-step")
def step_divided_by_the_norm_once():
    step = W * D * X.T / sp.sqrt((X.T * X)[0])
    return checks.identity("rank-one-step", "", left=((W + step) * X)[0], right=(W * (X + D))[0])


@control(THM, "rank-one-size")
def step_of_full_rank():
    """W diag(delta / x) moves z in the same way and is longer."""
    step = W * sp.diag(D[0] / X[0], D[1] / X[1])
    left = sum(entry**2 for entry in step) * (X.T * X)[0]
    return checks.identity("rank-one-size", "", left=left, right=((W * D).T * W * D)[0])


@control(THM, "chain")
def chain_with_one_power_of_the_weights():
    change_x, change_g, w, x, constant, step, moved, delta = z3.Reals("change_x change_g W x L dW Wdelta delta")
    return checks.implies(
        "chain",
        "",
        assumptions=[
            *(quantity >= 0 for quantity in (change_x, change_g, w, constant, step, moved, delta)),
            x > 0,
            change_x <= w * change_g,
            change_g * x <= constant * step,
            step * x == moved,
            moved <= w * delta,
        ],
        conclusion=change_x * x**2 <= w * constant * delta,
    )


@control(THM, "tanh-curvature")
def curvature_with_a_flipped_sign():
    z = sp.Symbol("z", real=True)
    s = 1 - sp.tanh(z) ** 2
    return checks.identity(
        "tanh-curvature", "", left=sp.expand(sp.diff(sp.tanh(z) ** 2 / 2, z, 2)), right=sp.expand(3 * s**2 + 2 * s)
    )


@control(THM, "one-unit-suprema")
def supremum_without_the_range():
    s, r = z3.Reals("s r")
    return checks.implies(
        "one-unit-suprema", "", assumptions=[s >= 0, r >= 0], conclusion=z3.And(3 * s**2 - 2 * s <= 1, r * (1 - r) >= 0)
    )


@control(THM, "condition-enough")
def condition_without_the_root():
    """|W|^2 <= |x|^2 alone, as for unit weights and unit inputs, is not enough."""
    q, w2, x2, root, constant = z3.Reals("q w2 x2 root L")
    return checks.implies(
        "condition-enough",
        "",
        assumptions=[w2 >= 0, x2 > 0, root > 1, constant >= 0, q * x2 <= w2 * constant, w2 <= x2],
        conclusion=q * root <= constant,
    )


@control(THM, "condition-needed")
def condition_where_the_bound_is_not_attained():
    q, w2, x2, root, constant = z3.Reals("q w2 x2 root L")
    return checks.implies(
        "condition-needed",
        "",
        assumptions=[w2 >= 0, x2 > 0, root > 0, constant > 0, q * x2 <= w2 * constant, w2 * root > x2],
        conclusion=q * root > constant,
    )


@control(THM, "shared-linear")
def shared_weight_without_normalisation():
    w, p1, p2 = sp.symbols("w p1 p2", nonzero=True)
    return checks.identity("shared-linear", "", left=sp.diff((w * p1) ** 2 + (w * p2) ** 2, w, 2), right=0)


# ---------------------------------------------------------------- the measurement


@control(THM, "autograd")
def hessian_without_the_bend_of_the_activation():
    """The Gauss-Newton matrix drops the second derivative of the activation and is not the Hessian."""
    net, x, y = example(inputs=1)
    net = net[0]
    (_, _, top) = wi.preactivation_derivatives(net, x, y)[-1]
    slope = wi.ACTIVATIONS["tanh"].slope(net.preactivations(x)[0][0])
    back = net.weights[1] * slope
    first = net.weights[0]
    return checks.equal(
        "autograd",
        "",
        measured=first.T @ back.T @ top[0] @ back @ first,
        expected=wi.autograd_hessians(net, x[0], y[0]).input,
        atol=1e-12,
        sample="",
    )


# ---------------------------------------------------------------- the mended statement


@control(THM, "mended-upper")
def mean_of_squared_singular_values_for_the_largest():
    """|W|_F^2 / rank in place of |W|^2: right for equal singular values only."""
    nets, x, y = example()
    s = wi.local_smoothness(nets, x, y)
    mean = nets.weights[0].square().sum((-2, -1), keepdim=True)[..., 0] / 4
    bound = mean / s.norm.square() * s.layers[..., 0]
    return checks.at_most("mended-upper", "", measured=s.input / bound, bound=1.0, sample="")


@control(THM, "mended-lower")
def floor_without_the_smallest_singular_value():
    s = wi.local_smoothness(*example())
    return checks.at_most("mended-lower", "", measured=s.repaired / s.input, bound=1.0, sample="")


@control(THM, "mended-gradient")
def gradient_with_the_factor_of_the_hessian():
    """The square of |W| / |x| is too small for the gradient where |W| < |x|."""
    s = wi.local_smoothness(*example())
    ratio = s.input_gradient / (s.factor * s.weight_gradient)
    return checks.at_most("mended-gradient", "", measured=ratio, bound=1.0, sample="")


@control(THM, "mended-finite")
def step_in_the_weights_along_another_direction():
    """The slope of the gradient along a step that does not match the one in the input bounds nothing."""
    nets, x, y = example((6, 4, 3))
    ratios = []
    for k in range(7):
        along, other = (wi.displacement(nets[0], x[k], y[k], delta) for delta in (x[k + 1] - x[k], 1e3 * x[k]))
        bound = along.factor * other.weight_change / other.weight_step * along.input_step
        ratios.append(along.input_change / bound)
    return checks.at_most("mended-finite", "", measured=ratios, bound=1.0, sample="")


@control(THM, "mended-stretched")
def weights_before_the_stretching():
    """The bound must be made from the stretched weights."""
    nets, x, y = example(inputs=1)
    before, after = (wi.local_smoothness(nets[0].stretched(c, x[0]), x, y) for c in (1.0, 10.0))
    return checks.at_most("mended-stretched", "", measured=after.input / before.repaired, bound=1.0, sample="")


def trained(reading, steps, learning_rate=0.2):
    """Smoothness of networks trained on the digits."""
    digits = data.load("digits").take(400)
    x = wi.normalised(digits.x.double().flatten(1), reading)
    start = wi.random_mlp([64, 16, 10], seeds=[0, 1, 2])
    arguments = {"learning_rate": learning_rate, "batch": 32, "seed": 0}
    after = wi.sgd(start, x, digits.y, checkpoints=[0, steps], **arguments)
    return [wi.local_smoothness(nets, x[:32], digits.y[:32]) for nets in after.values()]


@control(THM, "mended-trained")
def factor_of_the_initial_weights():
    """The factor must follow the weights through training."""
    before, after = trained("norm 1", 500)
    ratio = after.input / (before.factor * after.layers[..., 0])
    return checks.at_most("mended-trained", "", measured=ratio, bound=1.0, sample="")


@control(THM, "mended-single")
def constant_of_the_mean():
    """The constant of the mean loss in place of each input's."""
    inputs, weight = 8 * torch.eye(64, dtype=torch.float64), torch.eye(64, dtype=torch.float64)[0]
    mean = wi.symmetric_norm(wi.dense_hessian(lambda w: ((inputs @ w).square() / 2).mean(), weight))
    in_input = wi.symmetric_norm(wi.dense_hessian(lambda u: (weight @ u).square() / 2, inputs[0]))
    return checks.equal("mended-single", "", measured=in_input, expected=mean / 64, atol=1e-12, sample="")


@control(THM, "mended-unshared")
def shared_constant():
    """With the constant in the shared weight, which is zero, the bound would be zero."""
    point = torch.tensor([1.0, 1.0], dtype=torch.float64)
    found = wi.symmetric_norm(wi.dense_hessian(lambda u: u[0] ** 3 / u.square().sum(), point))
    return checks.equal("mended-unshared", "", measured=found, expected=0.0, atol=1e-12, sample="")


# ---------------------------------------------------------------- the printed statement
# Where the page shows it failing, the control is a case in which it holds; where it holds, one in which it fails.


@control(THM, "printed-one-unit")
def one_unit_with_small_weights():
    """|w|^2 <= |x|^2 / sqrt(n), the condition under which the printed bound follows."""
    n = 64
    point = torch.full((n,), 1.0, dtype=torch.float64)  # norm sqrt(n)
    ratios = []
    for square_w in (0.1, 1.0, math.sqrt(n)):
        weight = torch.full((n,), math.sqrt(square_w / n), dtype=torch.float64)
        found = wi.dense_hessian(lambda u, w=weight: (w @ u).square() / 2, point)
        ratios.append(wi.symmetric_norm(found).item() * math.sqrt(n) / n)
    return checks.at_most("printed-one-unit", "", measured=ratios, bound=1.0, sample="")


@control(THM, "printed-stretched")
def shrunk_instead_of_stretched():
    nets, x, y = example((16, 8, 4), inputs=1)
    x = wi.normalised(x, "norm sqrt n")
    found = [wi.local_smoothness(nets[k].stretched(c, x[0]), x, y) for k in range(3) for c in (0.1, 0.3, 1.0)]
    ratios = [(s.input / s.printed).item() for s in found]
    return checks.at_most("printed-stretched", "", measured=ratios, bound=1.0, sample="")


@control(THM, "printed-initial")
def initial_weights_and_inputs_of_norm_one():
    ratios = trained("norm 1", 1)[0].ratio_to_printed
    return checks.at_most("printed-initial", "", measured=ratios, bound=1.0, sample="")


@control(THM, "printed-trained")
def trained_with_inputs_of_norm_root_n_and_no_time_to_grow():
    ratios = trained("norm sqrt n", 20)[1].ratio_to_printed
    return checks.at_most("printed-trained", "", measured=ratios, bound=1.0, sample="")


@control(THM, "printed-mean-loss")
def mean_of_one_input():
    """64 times the same input: nothing is diluted, and the constant of the mean is that of the input."""
    inputs, weight = torch.ones(64, 64, dtype=torch.float64), torch.eye(64, dtype=torch.float64)[0]
    mean = wi.symmetric_norm(wi.dense_hessian(lambda w: ((inputs @ w).square() / 2).mean(), weight))
    in_input = wi.symmetric_norm(wi.dense_hessian(lambda u: (weight @ u).square() / 2, inputs[0]))
    return checks.at_most("printed-mean-loss", "", measured=in_input, bound=mean / math.sqrt(64), sample="")


@control(THM, "printed-shared")
def shared_weight_followed_by_a_linear_map():
    """With a linear loss the gradient in the input is constant, and zero is a true bound."""
    point = torch.tensor([1.0, 1.0], dtype=torch.float64)
    found = wi.symmetric_norm(wi.dense_hessian(lambda u: (u * point).sum() + 0 * u.square().sum(), point))
    return checks.at_most("printed-shared", "", measured=found, bound=0.0, sample="")
