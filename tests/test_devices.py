"""Which device a scale gets, and what is said where it is not the one it wants."""

from __future__ import annotations

import pytest
import torch

from advsmooth import devices, settings


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)


@pytest.mark.parametrize("scale", ["quick", "cpu"])
def test_small_scales_run_on_the_cpu_in_float32_without_a_word(scale, gpu):
    found = devices.choose(scale, {})
    assert (found.kind, found.options(), found.line) == ("cpu", [], "")


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_large_scales_are_refused_without_a_gpu_in_one_line_that_names_the_way_out(scale, no_gpu):
    with pytest.raises(devices.DeviceError, match=f"scale='{scale}': needs a CUDA GPU.*ADVSMOOTH_DEVICE=cpu") as caught:
        devices.choose(scale, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_asked_for_they_fall_back_to_the_cpu_with_one_line(scale, no_gpu):
    found = devices.choose(scale, {"ADVSMOOTH_DEVICE": "cpu"})
    assert (found.kind, found.options()) == ("cpu", [])
    assert found.line == (
        f"scale={scale} on the CPU, as ADVSMOOTH_DEVICE=cpu says: float32, no graph capture, and much slower"
    )


def test_a_gpu_gets_what_it_can_and_says_what_it_cannot(gpu, monkeypatch):
    old = devices.choose("gpu", {})
    assert old.options() == ["channels_last", "capture"]
    assert old.line == "this GPU does not compute in bfloat16: float32 instead"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    new = devices.choose("gpu", {})
    assert (new.options(), new.line) == (["channels_last", "bf16", "capture"], "")
    assert devices.choose("quick", {"ADVSMOOTH_DEVICE": "cuda"}) == new


def test_a_gpu_wanted_at_a_small_scale_and_absent_is_refused(no_gpu):
    with pytest.raises(devices.DeviceError, match="ADVSMOOTH_DEVICE=cuda: needs a CUDA GPU"):
        devices.choose("quick", {"ADVSMOOTH_DEVICE": "cuda"})


def test_another_device_is_refused():
    with pytest.raises(devices.DeviceError, match="ADVSMOOTH_DEVICE='tpu': allowed is cpu or cuda"):
        devices.choose("quick", {"ADVSMOOTH_DEVICE": "tpu"})


def test_a_page_prints_the_line_and_takes_the_presets_of_the_scale(no_gpu, monkeypatch, capsys):
    page = {"scale": "gpu", "seed": 0, "epochs": None}
    with pytest.raises(settings.SettingsError, match="needs a CUDA GPU"):
        settings.resolve(page, epochs=settings.count(quick=1, gpu=30))
    monkeypatch.setenv("ADVSMOOTH_DEVICE", "cpu")
    cfg = settings.resolve(page, epochs=settings.count(quick=1, gpu=30))
    assert (cfg.epochs, cfg.device) == (30, "cpu")
    assert capsys.readouterr().out.startswith("scale=gpu on the CPU")
