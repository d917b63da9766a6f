"""Which GPU a run is on, and which code runs there, in a line."""

from chainer.backends import cuda

from ..baseline import LSTMBaseline
from ..kernels.backends import backend_for, choice

CODE = {
    "numpy": "the array code (CHAINER_DNC_BACKEND=cuda asks for kernels in CUDA C++)",
    "cuda": "kernels in CUDA C++, found to agree with the array code here",
}
REFUSED = "the array code (kernels in CUDA C++ were asked for and cannot be used)"


def gpu_line(model):
    """A line about the GPU of a model; None on a CPU.

    Where kernels were asked for, they are compiled and looked at here, and not in the first step.
    """
    device = model.device
    if device.xp is not cuda.cupy:
        return None
    with device.create_context():
        K, sizes = 0, None
        if not isinstance(model, LSTMBaseline):
            _, N, W, R, _, K = model.sizes
            K, sizes = (K if model.sparse else 0), (N, W, R)
        backend = backend_for(cuda.cupy.empty(0, model.dtype), K, sizes)
        properties = cuda.cupy.cuda.runtime.getDeviceProperties(device.device.id)
    name = properties["name"]
    name = name.decode() if isinstance(name, bytes) else name
    version = cuda.cupy.__version__
    code = REFUSED if choice() == "cuda" and backend.name == "numpy" else CODE[backend.name]
    return f"On GPU {device.device.id}, {name}, CuPy {version}: {code}"
