"""Released PyTorch weights to our variables: which tensor goes where. Needs numpy only.

`DF_MVR` and `BISENET` map our module's path to the name of its PyTorch module (or names, whose outputs are
concatenated). The rest follows from the tensors: convolution OIHW -> HWIO, 1x1 convolution -> `[in, out]`,
transposed convolution -> the dense kernel of `UpConv2x2`, batch norm -> scale, bias, mean, var.
"""

import numpy as np

from dfmvr_jax.coefficients import VIEWS
from dfmvr_jax.errors import InputError

# in the released weights, but no part of what the released network computes
UNUSED = ("rednet_fc.rednet.pts_net.",)


def _double_conv(ours: str, theirs: str) -> dict[str, str]:
    return {
        f"{ours}/first/conv": f"{theirs}.conv.0",
        f"{ours}/first/norm": f"{theirs}.conv.1",
        f"{ours}/second/conv": f"{theirs}.conv.3",
        f"{ours}/second/norm": f"{theirs}.conv.4",
    }


def _conv_norm(ours: str, conv: str, norm: str) -> dict[str, str]:
    return {f"{ours}/conv": conv, f"{ours}/norm": norm}


def _tri_unet(ours: str, theirs: str) -> dict[str, str]:
    names = {}
    for level in range(5):
        for v, view in enumerate(VIEWS):
            names |= _double_conv(f"{ours}/encoder_{view}/level_{level}", f"{theirs}.conv{level + 1}_{v}")
    for level in range(4):
        names[f"{ours}/up_{level}"] = f"{theirs}.up{9 - level}"
        names |= _double_conv(f"{ours}/merge_{level}", f"{theirs}.conv{9 - level}")
        for v, view in enumerate(VIEWS):
            for part, torch_part in (("of_decoded", "W_g"), ("of_skip", "W_x"), ("attention", "psi")):
                gate = f"{theirs}.att{level + 1}_{v}.{torch_part}"
                names |= _conv_norm(f"{ours}/gate_{level}_{view}/{part}", f"{gate}.0", f"{gate}.1")
    return names


def _involution(ours: str, theirs: str) -> dict[str, str]:
    return _conv_norm(f"{ours}/reduce", f"{theirs}.conv1.conv", f"{theirs}.conv1.bn") | {
        f"{ours}/span": f"{theirs}.conv2.conv"
    }


def _rednet(ours: str, theirs: str) -> dict[str, str]:
    stem = f"{theirs}.stem"
    names = _conv_norm(f"{ours}/stem/first", f"{stem}.0.conv", f"{stem}.0.bn")
    names |= _involution(f"{ours}/stem/involution", f"{stem}.1")
    names[f"{ours}/stem/involution_norm"] = f"{stem}.2"
    names |= _conv_norm(f"{ours}/stem/second", f"{stem}.4.conv", f"{stem}.4.bn")
    for stage, size in enumerate((3, 4, 6, 3)):
        for block in range(size):
            us, them = f"{ours}/stage_{stage}_block_{block}", f"{theirs}.layer{stage + 1}.{block}"
            names |= _conv_norm(f"{us}/reduce", f"{them}.conv1", f"{them}.bn1")
            names |= _involution(f"{us}/involution", f"{them}.conv2")
            names[f"{us}/involution_norm"] = f"{them}.bn2"
            names |= _conv_norm(f"{us}/expand", f"{them}.conv3", f"{them}.bn3")
            if block == 0:
                names |= _conv_norm(f"{us}/shortcut", f"{them}.downsample.0", f"{them}.downsample.1")
    return names


def _heads(ours: str, theirs: str) -> dict[str, str | tuple[str, ...]]:
    views = ("lt", "ft", "rt")
    return {
        f"{ours}/identity": f"{theirs}.conv2_id",
        f"{ours}/expression": f"{theirs}.conv2_exp",
        f"{ours}/albedo": f"{theirs}.conv2_color",
        f"{ours}/light": f"{theirs}.conv2_gamma",
        f"{ours}/rotation": tuple(f"{theirs}.conv2_rotate_{v}" for v in views),
        f"{ours}/translation": tuple(
            f"{theirs}.conv2_offset_{xyz}_{v}" for v in views for xyz in ("xy", "z")
        ),
    }


def _bisenet() -> dict[str, str]:
    resnet = "cp.resnet"
    names = _conv_norm("resnet/stem", f"{resnet}.conv1", f"{resnet}.bn1")
    for stage in range(4):
        for block in range(2):
            us, them = f"resnet/stage_{stage}_block_{block}", f"{resnet}.layer{stage + 1}.{block}"
            names |= _conv_norm(f"{us}/first", f"{them}.conv1", f"{them}.bn1")
            names |= _conv_norm(f"{us}/second", f"{them}.conv2", f"{them}.bn2")
            if stage and not block:
                names |= _conv_norm(f"{us}/shortcut", f"{them}.downsample.0", f"{them}.downsample.1")
    for n in (16, 32):
        names |= _conv_norm(f"refine_{n}/refine", f"cp.arm{n}.conv.conv", f"cp.arm{n}.conv.bn")
        names |= _conv_norm(f"refine_{n}/gate", f"cp.arm{n}.conv_atten", f"cp.arm{n}.bn_atten")
        names |= _conv_norm(f"up_{n}", f"cp.conv_head{n}.conv", f"cp.conv_head{n}.bn")
    names |= _conv_norm("global_mean", "cp.conv_avg.conv", "cp.conv_avg.bn")
    names |= _conv_norm("fuse", "ffm.convblk.conv", "ffm.convblk.bn")
    names |= {"gate_reduce": "ffm.conv1", "gate_expand": "ffm.conv2"}
    for us, them in (("head", "conv_out"), ("head_16", "conv_out16"), ("head_32", "conv_out32")):
        names |= _conv_norm(f"{us}/features", f"{them}.conv.conv", f"{them}.conv.bn")
        names[f"{us}/logits"] = f"{them}.conv_out"
    return names


DF_MVR = (
    _tri_unet("tri_unet", "uuunet") | _rednet("rednet", "rednet_fc.rednet") | _heads("heads", "rednet_fc")
)
BISENET = _bisenet()


def from_torch(tensors: dict[str, np.ndarray], modules: dict[str, str | tuple[str, ...]]) -> dict[str, dict]:
    """Variables (`params`, `batch_stats`) of the network whose `modules` are `DF_MVR` or `BISENET`.

    `tensors` is a PyTorch state dict that holds this network and nothing else, parse net names without
    `mask_model.`. Raises `InputError` for a tensor that is missing and for one that has no place.
    """
    variables: dict[str, dict] = {"params": {}, "batch_stats": {}}
    left = {
        name for name in tensors if not name.startswith(UNUSED) and not name.endswith("num_batches_tracked")
    }

    def take(torch_names: tuple[str, ...], kind: str) -> np.ndarray:
        names = [f"{name}.{kind}" for name in torch_names]
        missing = [name for name in names if name not in tensors]
        if missing:
            raise InputError(
                f"the weights have no tensor {missing[0]}: they are not those of the released network"
            )
        left.difference_update(names)
        return np.concatenate([tensors[name] for name in names])

    for path, torch_names in modules.items():
        if isinstance(torch_names, str):
            torch_names = (torch_names,)
        weight = take(torch_names, "weight")
        if weight.ndim == 1:
            params = {"scale": weight, "bias": take(torch_names, "bias")}
            stats = {"mean": take(torch_names, "running_mean"), "var": take(torch_names, "running_var")}
            _insert(variables["batch_stats"], path, stats)
        else:
            params = {"kernel": _kernel(weight, transposed="/up_" in path)}
            if f"{torch_names[0]}.bias" in tensors:
                params["bias"] = take(torch_names, "bias")
        _insert(variables["params"], path, params)
    if left:
        raise InputError(
            f"the weights have {len(left)} tensors with no place in the network, such as {min(left)}"
        )
    return variables


def _kernel(weight: np.ndarray, transposed: bool) -> np.ndarray:
    if transposed:  # [in, out, row, column] -> [in, (row, column, out)]
        return weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    if weight.shape[2:] == (1, 1):
        return weight[:, :, 0, 0].T
    return weight.transpose(2, 3, 1, 0)


def _insert(tree: dict, path: str, leaves: dict[str, np.ndarray]) -> None:
    for name in path.split("/"):
        tree = tree.setdefault(name, {})
    tree.update(leaves)
