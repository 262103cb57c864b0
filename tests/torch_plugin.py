"""A stand-in for nvdiffrast's module of low-level functions, on the CPU: slow, with nvdiffrast's conventions.

Images have their lowest row first, pixels hold (u, v, z/w, number of the triangle from 1), and vertex 0 has
(u, v) = (1, 0). Gradients are torch's own. Like nvdiffrast's, these functions know no autograd from outside.
"""

import torch

from tests.naive_antialias import naive_antialias_by_pixel
from tests.naive_zbuffer import naive_rasterize


class RasterizeCRStateWrapper:
    def __init__(self, device_index: int):
        self.device_index = device_index


def rasterize_fwd_cuda(state, positions, triangles, resolution, ranges, peeling_index):
    check(positions, triangles)
    assert isinstance(state, RasterizeCRStateWrapper) and ranges.device.type == "cpu" and peeling_index == -1
    images = []
    for clip in positions.numpy():
        ids, weights, depth = naive_rasterize(clip, triangles.numpy(), resolution)
        layers = [weights[..., 0], weights[..., 1], depth * (ids >= 0), ids + 1]
        images.append(torch.stack([torch.from_numpy(layer.copy()).float() for layer in layers], -1).flip(0))
    return torch.stack(images), None


def rasterize_grad(positions, triangles, raster, grad_raster):
    check(positions, triangles, raster)
    positions = positions.clone().requires_grad_()
    total = torch.sum(barycentrics(positions, triangles, raster)[..., :2] * grad_raster[..., :2])
    return torch.autograd.grad(total, positions)[0]


def interpolate_fwd(attributes, raster, triangles):
    check(attributes, raster, triangles)
    return interpolated(attributes, raster, triangles), None


def interpolated(attributes, raster, triangles):
    u, v = raster[..., 0], raster[..., 1]
    weights = torch.stack([u, v, 1 - u - v], -1) * (raster[..., 3:] > 0)
    return torch.sum(weights[..., None] * corners(attributes, triangles, raster), -2)


def interpolate_grad(attributes, raster, triangles, grad_image):
    check(attributes, raster, triangles)
    attributes, raster = attributes.clone().requires_grad_(), raster.clone().requires_grad_()
    total = torch.sum(interpolated(attributes, raster, triangles) * grad_image)
    return torch.autograd.grad(total, (attributes, raster))


def antialias_construct_topology_hash(triangles):
    return "of these triangles", triangles


def antialias_fwd(color, raster, positions, triangles, topology):
    check(color, raster, positions, triangles)
    assert topology[0] == "of these triangles"
    images = []
    for image, pixels, clip in zip(color.numpy(), raster.flip(1).numpy(), positions.numpy()):
        ids, depth = pixels[..., 3].astype(int) - 1, pixels[..., 2] + (pixels[..., 3] == 0)
        smooth = naive_antialias_by_pixel(image[::-1], ids, depth, clip, triangles.numpy())
        images.append(torch.from_numpy(smooth[::-1].copy()).float())
    return torch.stack(images), torch.zeros(4)


def antialias_grad(color, raster, positions, triangles, grad_out, work):
    """Twice the gradient with respect to the image, and its sum for each position: to be recognised by."""
    assert work.shape == (4,)
    return 2 * grad_out, torch.sum(grad_out, (1, 2, 3))[:, None, None].expand_as(positions)


def barycentrics(positions, triangles, raster):
    """Perspective-correct weights of the corners of each pixel's triangle, [b, h, w, 3]."""
    height, width = raster.shape[1:3]
    x, y, _, w = corners(positions, triangles, raster).unbind(-1)
    pixel_x = (2 * torch.arange(width) + 1) / width - 1
    pixel_y = (2 * torch.arange(height) + 1) / height - 1
    x, y = x - pixel_x[:, None] * w, y - pixel_y[:, None, None] * w
    following, last = (x.roll(-1, -1), y.roll(-1, -1)), (x.roll(-2, -1), y.roll(-2, -1))
    weights = following[0] * last[1] - last[0] * following[1]
    total = weights.sum(-1, keepdim=True)
    return torch.where(raster[..., 3:] > 0, weights / torch.where(total == 0, 1, total), 0)


def corners(values, triangles, raster):
    """Values of the vertices of each pixel's triangle, [b, h, w, 3, c]; of triangle 0 in the background."""
    number = (raster[..., 3].detach().long() - 1).clamp(min=0)
    return torch.stack([item[triangles.long()[n]] for item, n in zip(values, number)])


def check(*tensors):
    """What nvdiffrast checks, too."""
    for tensor in tensors:
        assert (
            tensor.is_contiguous()
            and tensor.dtype in (torch.float32, torch.int32)
            and not tensor.requires_grad
        )
