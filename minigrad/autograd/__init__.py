"""Gradients: asked for (`backward`, `grad`), of your own rules (`Function`), checked (`gradcheck`), and hunted (`detect_anomaly`).

Names and signatures are torch.autograd's. Reading order: gradients, function, functional, gradcheck, anomaly_mode.
"""

from typing import TYPE_CHECKING, Any

from ..missing import explain
from ..state import enable_grad, inference_mode, no_grad, set_grad_enabled
from . import anomaly_mode, function, functional
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .gradients import backward, grad

__all__ = [
    "Function", "GradcheckError", "anomaly_mode", "backward", "detect_anomaly", "enable_grad", "function", "functional", "grad",
    "gradcheck", "gradgradcheck", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise AttributeError(explain("autograd", name, __all__))
