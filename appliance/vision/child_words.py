"""What the processes that speak with the GPU raise, where no catalogue is loaded: marked here for those who tell it."""

from __future__ import annotations

from appliance.language import N_

TOLD_BY_CHILDREN = (
    N_("pycuda is not installed"),
    N_("pycuda cannot be loaded ({error})"),
    N_("the CUDA driver knows no device"),
    N_("the CUDA driver does not answer ({error})"),
    N_("TensorRT cannot be loaded ({error})"),
    N_("TensorRT cannot read the model: {error}"),
    N_("TensorRT takes no inputs of {side} px"),
    N_("TensorRT built no engine"),
    N_("TensorRT built no engine: {error}"),
    N_("TensorRT does not take the engine"),
    N_("TensorRT does not take the engine: {error}"),
    N_("there is not enough memory for the engine"),
    N_("there is not enough memory for the engine: {error}"),
    N_("there is not enough memory"),
    N_("the engine cannot be opened ({error})"),
    N_("the engine takes no {count} pictures"),
    N_("the engine could not be started"),
    N_("the engine could not be started: {error}"),
    N_("the engine has {names}, not one input and {wanted}"),
    N_("the engine's {name} is {shape}, not {wanted}"),
    N_("{process} crashed ({signal})"),
    N_("{process} ended by itself"),
    N_("the process of detectNet"),
    N_("detectNet of jetson-inference"),
    N_("jetson-inference is not installed"),
    N_("detectNet does not load the model"),
    N_("detectNet did not answer within {seconds} s"),
    N_("detectNet failed ({error})"),
    N_("detectNet fails its self-test: {problems} ({figures})"),
    N_("detectNet does not judge as ONNX Runtime does: {figures}"),
    N_("the model {model} has no form for detectNet"),
)
