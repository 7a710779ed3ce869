"""Tokens in 8 bits: their error, and the gradient that a linear layer computes from them."""

import pytest
import torch
import torch.nn.functional as F

from side4video.models.side.int8_tokens import int8_linear, to_int8


@pytest.mark.parametrize("width", [64, 192, 96, 7])
@pytest.mark.parametrize("size", [0.1, 1.0, 1e4])
def test_each_value_is_within_half_a_step_of_its_group(width, size):
    tokens = torch.randn(5, 3, width, generator=torch.Generator().manual_seed(0)) * size
    tokens[..., 0] *= 100
    kept = to_int8(tokens)
    assert kept.values.dtype == torch.int8
    groups = tokens.reshape(5, 3, kept.scales.shape[-1], -1)
    allowed = groups.abs().amax(-1, keepdim=True) * 0.505 / 127
    assert ((kept.restore(torch.float32).reshape(groups.shape) - groups).abs() <= allowed).all()


def test_a_large_channel_affects_only_its_group():
    tokens = torch.randn(10, 128, generator=torch.Generator().manual_seed(0))
    tokens[:, 0] = 1000
    error = (to_int8(tokens).restore(torch.float32) - tokens).abs()
    assert error[:, 1:64].mean() > 0.4
    assert error[:, 64:].mean() < 0.01


def test_zeros_are_exact():
    assert torch.equal(to_int8(torch.zeros(2, 64)).restore(torch.bfloat16), torch.zeros(2, 64).bfloat16())


def test_linear_layer_has_the_output_and_nearly_the_gradient_of_pytorch():
    generator = torch.Generator().manual_seed(0)
    tokens, weight, bias = (torch.randn(size, generator=generator) for size in ((4, 50, 64), (8, 64), (8,)))
    grads = []
    for layer in (F.linear, int8_linear):
        parameters = [weight.clone().requires_grad_(), bias.clone().requires_grad_()]
        output = layer(tokens, *parameters)
        output.square().sum().backward()
        grads.append((output.detach(), *(parameter.grad for parameter in parameters)))
    (expected, expected_weight, expected_bias), (output, weight_grad, bias_grad) = grads
    assert torch.equal(output, expected)
    torch.testing.assert_close(bias_grad, expected_bias)
    assert 0 < (weight_grad - expected_weight).norm() / expected_weight.norm() < 0.005
