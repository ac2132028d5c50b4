"""Settings of an emulator's fit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSettings:
    """How the networks are fitted."""

    hidden: tuple[int, ...] = (32, 32)
    """sizes of the hidden layers"""
    members: int = 8
    """networks, each fitted to another resampling of the hosts"""
    steps: int = 1000
    """steps of the optimiser"""
    batch: int = 1024
    """injections in a step"""
    rate: float = 1e-2
    """learning rate at the start; it falls to 0 as a cosine"""
    decay: tuple[float, ...] = (0.03, 0.2, 1.0)
    """weight decays that are tried; the larger, the nearer to logistic regression"""
    held_out: float = 0.25
    """share of the hosts that is kept for the calibration"""
    seed: int = 0
