"""What PyTorch has and this has not, each with the nearest way here: for error messages, and for docs/not-here.md.

Each place (a module, or Tensor) has groups: a title, names, and one hint for all of them. A name between slashes is a
pattern, for families of which nobody needs a list. What is planned says what to do until then.

`python docs/not_here.py` writes the page.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["GROUPS", "Group", "explain", "hint"]


class Group(NamedTuple):
    """Names that are missing from one place for one reason, and what to use instead."""

    place: str
    title: str
    names: str
    hint: str


_NUMPY = "compute it on x.detach().numpy(), without a gradient"
GROUPS = [
    # ------------------------------------------------------------------------------------------------------ minigrad.f
    Group("minigrad", "methods only", "fill", "x.clone().fill_(value), or minigrad.full_like(x, value)"),
    Group(
        "minigrad", "functions of networks",
        "/(adaptive_)?(avg|max)_pool\\d?d?.*|alpha_dropout.*|batch_norm.*|bilinear|binary_cross_entropy_with_logits|celu|"
        "channel_shuffle/ "
        "/conv.*|cosine_embedding_loss|ctc_loss|dropout|embedding.*|feature_(alpha_)?dropout|group_norm|hardshrink|"
        "hinge_embedding_loss/ "
        "/instance_norm|kl_div|layer_norm|margin_ranking_loss|pdist|pixel_(un)?shuffle|poisson_nll_loss|prelu|rms_norm|"
        "rrelu|selu/ "
        "/threshold|triplet_margin_loss|grid_sampler.*|affine_grid_generator|constant_pad_nd|norm_except_dim/",
        "look in minigrad.nn.functional, where those that exist stand",
    ),
    Group(
        "minigrad", "recurrent functions",
        "/(gru|lstm|rnn_relu|rnn_tanh)(_cell)?/",
        "use the Modules: minigrad.nn.LSTM, LSTMCell and their relatives",
    ),
    Group(
        "minigrad", "complex numbers",
        "/complex\\d*|c(float|double)|chalf|view_as_(complex|real)(_copy)?/ angle conj conj_physical imag "
        "polar real isreal is_conj is_neg resolve_conj resolve_neg",
        "there are no complex numbers; keep real and imaginary parts as two tensors",
    ),
    Group(
        "minigrad", "Fourier transforms",
        "fft stft istft /.*_window/ signal",
        "numpy.fft on x.detach().numpy(), without a gradient",
    ),
    Group(
        "minigrad", "factorisations",
        "cholesky cholesky_inverse cholesky_solve eig geqrf lobpcg lstsq lu lu_solve lu_unpack matrix_exp "
        "matrix_rank orgqr ormqr pca_lowrank pinverse qr svd svd_lowrank symeig triangular_solve vander det "
        "logdet slogdet nuclear_norm frobenius_norm",
        "numpy.linalg on x.detach().numpy(); with a gradient there are minigrad.linalg.inv, solve and norm",
    ),
    Group("minigrad", "factorisations", "inverse", "minigrad.linalg.inv(x)"),
    Group("minigrad", "factorisations", "solve", "minigrad.linalg.solve(A, B)"),
    Group("minigrad", "factorisations", "chain_matmul", "minigrad.linalg.multi_dot(tensors)"),
    Group(
        "minigrad", "special functions",
        "special digamma erfinv i0 igamma igammac lgamma mvlgamma polygamma frexp gcd lcm nextafter binomial "
        "poisson",
        "scipy.special, or compute it on x.detach().numpy(), without a gradient",
    ),
    Group("minigrad", "special functions", "ldexp", "x * 2.0**other"),
    Group("minigrad", "special functions", "logaddexp2", "minigrad.logaddexp(a * ln2, b * ln2) / ln2"),
    Group("minigrad", "statistics", "cov", "c = x - x.mean(1, keepdim=True); c @ c.mT / (x.size(1) - 1)"),
    Group(
        "minigrad", "statistics",
        "corrcoef",
        "z = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True); z @ z.mT / (x.size(1) - 1)",
    ),
    Group("minigrad", "statistics", "mode", "values, counts = x.unique(return_counts=True); values[counts.argmax()]"),
    Group("minigrad", "statistics", "nanmedian", "x[~x.isnan()].median()"),
    Group("minigrad", "statistics", "nanquantile", "x[~x.isnan()].quantile(q)"),
    Group("minigrad", "statistics", "histogram histogramdd", "minigrad.histc for counts, or numpy.histogram on x.numpy()"),
    Group("minigrad", "statistics", "logcumsumexp", "m = x.max(); (x - m).exp().cumsum(dim).log() + m"),
    Group("minigrad", "statistics", "cumulative_trapezoid trapezoid trapz", "((y[1:] + y[:-1]) / 2 * x.diff()).sum()"),
    Group("minigrad", "statistics", "gradient", "x.diff() for differences; minigrad.autograd.grad for derivatives"),
    Group("minigrad", "statistics", "renorm", "x / x.norm(p, dim, True).clamp_min(maxnorm) * maxnorm"),
    Group("minigrad", "products", "kron", 'minigrad.einsum("ij,kl->ikjl", a, b).reshape(a.size(0) * b.size(0), -1)'),
    Group(
        "minigrad", "indices",
        "scatter_reduce index_reduce segment_reduce",
        "scatter_add for sums; divide by scatter_add of ones for means",
    ),
    Group(
        "minigrad", "indices",
        "select_scatter slice_scatter diagonal_scatter as_strided_scatter put",
        "y = x.clone(); y[...] = src",
    ),
    Group("minigrad", "indices", "unravel_index", "index // shape[1] and index % shape[1]; numpy.unravel_index"),
    Group("minigrad", "indices", "combinations", "itertools.combinations, or minigrad.triu_indices for pairs"),
    Group("minigrad", "indices", "nonzero_static", "minigrad.nonzero(x)[:size]"),
    Group("minigrad", "memory", "as_strided", "x.unfold for windows, x[...] for slices"),
    Group("minigrad", "memory", "range", "minigrad.arange(start, end + 1), as PyTorch advises too"),
    Group(
        "minigrad", "memory",
        "empty_strided empty_permuted from_file /resize_as_(sparse_)?/",
        "minigrad.empty(shape); numpy.memmap for files",
    ),
    Group(
        "minigrad", "memory",
        "layout strided jagged /channels_last.*|(legacy_)?contiguous_format|preserve_format|memory_format/",
        "tensors are dense and lie as NumPy lays them; leave the argument out",
    ),
    Group("minigrad", "memory", "/.*Storage.*|is_storage|storage/", "a tensor's memory is x.numpy()"),
    Group("minigrad", "memory", "to_dlpack", "give the tensor itself to the other library's from_dlpack"),
    Group("minigrad", "memory", "/.*_copy/", "the name without _copy, and .clone()"),
    Group("minigrad", "memory", "/unsafe_(chunk|split.*)/", "the name without unsafe_"),
    Group(
        "minigrad", "dtypes",
        "bfloat16 BFloat16Tensor /float[48]_.*/",
        "minigrad.float16 or float32: NumPy has no other small floats",
    ),
    Group("minigrad", "dtypes", "/uint(16|32|64)|u?int[1-7]|bit|bits\\d.*/", "minigrad.int32, int64 or uint8"),
    Group("minigrad", "dtypes", "set_default_tensor_type", "minigrad.set_default_dtype(dtype) and set_default_device(device)"),
    Group("minigrad", "dtypes", "typename", "x.type()"),
    Group(
        "minigrad", "quantised numbers",
        "/q(u)?int.*|quantize.*|quantized_.*|q_.*|qscheme|dequantize|int_repr|per_(channel|tensor)_.*/ "
        "/(fake_|fused_|choose_q|empty_q).*/ ao quantization",
        "there are no quantised numbers; x.half() takes half the memory",
    ),
    Group(
        "minigrad", "sparse tensors",
        "/sparse.*|.*spmm|.*_indices_copy|indices_copy|values_copy|[hds]smm|sspaddmm|saddmm|smm/ masked "
        "nested",
        "all tensors are dense; for rows of a table minigrad.nn.functional.embedding",
    ),
    Group(
        "minigrad", "threads",
        "/(set|get|init)_num_(interop_)?threads/",
        "NumPy's BLAS is told by the environment, before the start: OPENBLAS_NUM_THREADS=1",
    ),
    Group(
        "minigrad", "threads",
        "set_flush_denormal thread_safe_generator multiprocessing prepare_multiprocessing_environment",
        "Python's own multiprocessing works with tensors, which pickle",
    ),
    Group("minigrad", "determinism", "/.*deterministic.*/", "results repeat with the seed: minigrad.manual_seed"),
    Group(
        "minigrad", "mixed precision",
        "amp GradScaler /.*autocast.*/",
        "nothing casts by itself: minigrad.set_default_dtype, x.half(), model.half()",
    ),
    Group(
        "minigrad", "compilers",
        "compile compiler export jit /.*[sS]cript.*/ fx func vmap cond while_loop library overrides classes "
        "fork wait "
        "/import_ir_module.*|parse_(ir|schema|type_comment)|merge_type_from_type_comment|sym_.*|Sym.*|TracingState|"
        "unify_type_list/",
        "run the code as it is; minigrad.trace shows what is recorded",
    ),
    Group(
        "minigrad", "many machines",
        "distributed futures Future Event Stream monitor is_distributed",
        "one process, one device; nothing is split",
    ),
    Group(
        "minigrad", "other devices",
        "accelerator cpu mps mtia xpu get_device_module OutOfMemoryError AcceleratorError is_vulkan_available",
        'minigrad.device("cpu") or device("cuda")',
    ),
    Group(
        "minigrad", "other devices",
        "backends /has_.*|compiled_with_cxx11_abi|version|torch_version/",
        "minigrad.__version__; nothing to switch",
    ),
    Group(
        "minigrad", "tools",
        "profiler ThroughputBenchmark /Benchmark.*/",
        "Python's cProfile, or minigrad.trace for memory and gradients",
    ),
    Group(
        "minigrad", "tools",
        "distributions quasirandom",
        "minigrad.random: rand, randn, normal, bernoulli, multinomial, x.exponential_()",
    ),
    Group("minigrad", "tools", "hub package", "minigrad.load reads safetensors files that PyTorch wrote"),
    Group("minigrad", "tools", "testing", "minigrad.allclose(a, b), or numpy.testing.assert_allclose"),
    Group("minigrad", "tools", "return_types", "results of max, sort and topk are named tuples: .values, .indices"),
    Group("minigrad", "tools", "ModuleDict ParameterDict BufferDict", "they stand in minigrad.nn, as far as they are there"),
    Group("minigrad", "tools", "functional windows", "the functions stand in minigrad itself"),
    Group("minigrad", "tools", "/(set|is)_warn_always.*/", "Python's warnings module"),
    Group("minigrad", "tools", "/(set|is)_anomaly_.*/", "minigrad.autograd.detect_anomaly"),
    Group("minigrad", "tools", "is_inference", "minigrad.is_grad_enabled()"),
    Group(
        "minigrad", "PyTorch's inside",
        "/cudnn_.*|miopen_.*|mkldnn_.*|fbgemm_.*|native_.*|profiler_.*/ "
        "/classproperty|cpp|get_file_path|hash_tensor|slice_inverse/",
        "it is no part of what programs call",
    ),
    # -------------------------------------------------------------------------------------------------------- Tensor.f
    Group(
        "Tensor", "memory",
        "storage untyped_storage storage_type storage_offset const_data_ptr /(re)?set_|is_set_to/",
        "a tensor's memory is x.numpy(); x.data_ptr() is its address",
    ),
    Group("Tensor", "memory", "new new_empty_strided", "x.new_empty(sizes), x.new_tensor(data)"),
    Group("Tensor", "memory", "/resize(_as)?_?|resize_as_sparse_/", "x.reshape(...), or a new tensor"),
    Group(
        "Tensor", "memory",
        "pin_memory is_pinned share_memory_ is_shared record_stream module_load",
        "leave it out: nothing here needs it",
    ),
    Group("Tensor", "memory", "dim_order layout to_mkldnn", "x.stride() says how a tensor lies"),
    Group("Tensor", "memory", "as_strided_", "x.unfold for windows, x[...] for slices"),
    Group("Tensor", "elements", "apply_ map_ map2_", "write the function with tensor operations, or on x.numpy()"),
    Group("Tensor", "elements", "cauchy_ geometric_", "x.uniform_(), and the inverse of the distribution function"),
    Group("Tensor", "elements", "sum_to_size", "x.sum(dims, keepdim=True)"),
    Group("Tensor", "elements", "index", "x[indices]"),
    Group(
        "Tensor", "gradients",
        "reinforce volatile name output_nr grad_dtype is_inference",
        "PyTorch keeps it for old programs; leave it out",
    ),
    Group(
        "Tensor", "sparse tensors",
        "/to_sparse.*|sparse_.*|is_sparse.*|is_coalesced|coalesce|(ccol_|col_|crow_|row_)?indices|values/ "
        "/to_dense|dense_dim|to_padded_tensor|is_nested/",
        "all tensors are dense",
    ),
    Group(
        "Tensor", "other devices",
        "/ipu|mtia|xpu|is_(ipu|maia|meta|mkldnn|mps|mtia|vulkan|xla|xpu|distributed|quantized)/",
        "x.device says where a tensor is: cpu or cuda",
    ),
    # -------------------------------------------------------------------------------------------------------------- nn
    Group(
        "nn", "planned",
        "RMSNorm",
        "x / (x.square().mean(-1, keepdim=True) + eps).sqrt(); LayerNorm is here",
    ),
    Group(
        "nn", "planned",
        "/MultiheadAttention|Transformer.*/",
        "minigrad.nn.functional.scaled_dot_product_attention, with the heads as an axis",
    ),
    Group(
        "nn", "images",
        "/(Lazy)?Conv(Transpose)?\\dd|.*Pool\\dd|MaxUnpool.*|.*Pad\\dd|Upsampl.*|Pixel.*|Fold|Unfold|ChannelShuffle/ "
        "/CrossMapLRN2d|LocalResponseNorm|Dropout\\dd|Softmax2d|FractionalMaxPool.*/",
        "layers of images are not here; minigrad.nn.functional.pad and x.unfold cut windows",
    ),
    Group(
        "nn", "norms over batches",
        "/(Lazy)?(Batch|Instance)Norm\\dd|SyncBatchNorm|GroupNorm/",
        "normalise with x.mean(0) and x.var(0, correction=0)",
    ),
    Group(
        "nn", "activations",
        "/(C|G|S|)ELU|SELU|GLU|Hard.*|LogSigmoid|Mish|PReLU|RReLU|ReLU6|Softmin|Softshrink|Softsign|Tanhshrink|Threshold/",
        "the function of that name in minigrad.nn.functional, where there is one, in your forward()",
    ),
    Group(
        "nn", "losses",
        "/.*Loss|.*Loss2d|AdaptiveLogSoftmaxWithLoss|LinearCrossEntropyOptions/",
        "write the loss with tensor operations, or see minigrad.nn.functional",
    ),
    Group(
        "nn", "containers",
        "ParameterDict Container Buffer",
        "self.register_parameter(name, p), self.register_buffer(name, x), ModuleList",
    ),
    Group("nn", "layers", "Bilinear", 'minigrad.einsum("bi,oij,bj->bo", a, W, b)'),
    Group("nn", "layers", "CosineSimilarity PairwiseDistance", "minigrad.cosine_similarity, minigrad.pairwise_distance"),
    Group("nn", "layers", "EmbeddingBag", "minigrad.nn.Embedding, and .sum(1) or .mean(1)"),
    Group("nn", "layers", "/AlphaDropout|FeatureAlphaDropout/", "minigrad.nn.Dropout"),
    Group("nn", "layers", "/Lazy.*|Uninitialized.*/", "sizes are given when a Module is made"),
    Group("nn", "many devices", "DataParallel parallel", "one process, one device"),
    Group(
        "nn", "PyTorch's inside",
        "common_types factory_kwargs grad intrinsic modules qat quantizable quantized",
        "it is no part of what programs call",
    ),
    # --------------------------------------------------------------------------------------------------- nn.functional
    Group(
        "nn.functional", "planned",
        "rms_norm",
        "x / (x.square().mean(-1, keepdim=True) + eps).sqrt(); LayerNorm is here",
    ),
    Group(
        "nn.functional", "planned",
        "multi_head_attention_forward",
        "minigrad.nn.functional.scaled_dot_product_attention, with the heads as an axis",
    ),
    Group(
        "nn.functional", "images",
        "/conv.*|.*pool\\dd.*|max_unpool.*|upsampl.*|interpolate|grid_sample|affine_grid|pixel_.*|(un)?fold|.*shuffle/ "
        "local_response_norm",
        "layers of images are not here; minigrad.nn.functional.pad and x.unfold cut windows",
    ),
    Group(
        "nn.functional", "norms over batches",
        "batch_norm instance_norm group_norm",
        "normalise with x.mean(0) and x.var(0, correction=0)",
    ),
    Group(
        "nn.functional", "activations",
        "/(rrelu|elu|celu|selu|threshold|hardtanh|leaky_relu|relu)_/",
        "the function with inplace=True",
    ),
    Group("nn.functional", "activations", "hardshrink softshrink", "minigrad.where(x.abs() > lambd, x, 0)"),
    Group("nn.functional", "activations", "prelu rrelu", "minigrad.where(x > 0, x, weight * x)"),
    Group(
        "nn.functional", "losses",
        "/.*_loss|linear_cross_entropy/",
        "write the loss with tensor operations: it is a line or two",
    ),
    Group("nn.functional", "layers", "bilinear", 'minigrad.einsum("bi,oij,bj->bo", a, W, b)'),
    Group("nn.functional", "layers", "embedding_bag", "embedding(...).sum(1) or .mean(1)"),
    Group("nn.functional", "layers", "/(feature_)?alpha_dropout|dropout\\dd/", "dropout"),
    Group("nn.functional", "layers", "pdist", "minigrad.cdist(x, x)"),
    Group(
        "nn.functional", "PyTorch's inside",
        "/assert_int_or_pair|boolean_dispatch|grad|.*torch_function.*|.*_notes|(scaled_)?grouped_mm|scaled_mm/",
        "it is no part of what programs call",
    ),
    # --------------------------------------------------------------------------------------------------------- nn.init
    Group(
        "nn.init", "names of old",
        "/constant|eye|kaiming_(normal|uniform)|normal|orthogonal|uniform|xavier_(normal|uniform)/",
        "the name with an underscore at its end",
    ),
    Group("nn.init", "not here", "/dirac_?|sparse_?/", "with minigrad.no_grad(): weight[...] = values"),
    # -------------------------------------------------------------------------------------------------------- nn.utils
    Group(
        "nn.utils", "vectors",
        "parameters_to_vector convert_parameters",
        "minigrad.cat([p.reshape(-1) for p in model.parameters()])",
    ),
    Group("nn.utils", "vectors", "vector_to_parameters", "p.data = piece.view_as(p), for the pieces of vector.split(sizes)"),
    Group("nn.utils", "names of old", "clip_grad_norm", "clip_grad_norm_"),
    Group(
        "nn.utils", "not here",
        "/.*weight_norm|.*spectral_norm|parametriz.*|fuse_.*|fusion|convert_.*|memory_format|init|skip_init|stateless/",
        "compute the weight in forward(), from a Parameter of your own",
    ),
    # ----------------------------------------------------------------------------------------------------------- optim
    Group(
        "optim", "optimisers",
        "/Ada(factor|max)|ASGD|LBFGS|Muon|[NR]Adam|Rprop|SparseAdam/",
        "minigrad.optim.Adam, AdamW, RMSprop or SGD; a subclass of Optimizer takes a dozen lines",
    ),
    Group(
        "optim", "not here",
        "swa_utils",
        "keep a copy.deepcopy of the model and move its parameters towards the model's: p.lerp_(q, 1 - decay)",
    ),
    Group("optim", "not here", "swap_in_optimizer_params_and_state", "optimizer.load_state_dict(state)"),
    # ---------------------------------------------------------------------------------------------- optim.lr_scheduler
    Group("optim.lr_scheduler", "not here", "CyclicLR", "LambdaLR with a function of the step that goes up and down, or OneCycleLR"),
    # -------------------------------------------------------------------------------------------------------- autograd
    Group("autograd", "not here", "forward_ad", "minigrad.autograd.grad, backwards; forward derivatives are not here"),
    Group("autograd", "not here", "graph", "tensor.grad_fn.next_functions, tensor.register_hook"),
    Group(
        "autograd", "not here",
        "profiler profiler_legacy profiler_util /Profiler.*|kineto_available/",
        "Python's cProfile, or minigrad.trace",
    ),
    Group("autograd", "not here", "variable Variable", "tensors are their own variables"),
    Group("autograd", "not here", "grad_mode", "minigrad.autograd itself has what stands in it"),
    Group(
        "autograd", "PyTorch's inside",
        "/DeviceType|NestedIOFunction|SavedTensor|enforce_.*|.*torch_function.*|.*multithreading.*|is_.*/",
        "it is no part of what programs call",
    ),
    # ------------------------------------------------------------------------------------------------------ utils.data
    Group(
        "utils.data", "data pipes",
        "/.*DataPipe|DataChunk|datapipes|.*datapipe.*|(argument|runtime)_validation.*|non_deterministic|graph.*/",
        "a Dataset or an IterableDataset, read by a DataLoader",
    ),
    Group(
        "utils.data", "many machines", "DistributedSampler distributed",
        "one process, one device; RandomSampler, SequentialSampler, BucketSampler",
    ),
    # ---------------------------------------------------------------------------------------------------------- linalg
    Group(
        "linalg", "factorisations",
        "/cholesky.*|cond|det|eig.*|householder_product|inv_ex|ldl_.*|lstsq|lu.*|matrix_exp|matrix_rank|pinv|qr/ "
        "/slogdet|solve_ex|solve_triangular|svd.*|tensorinv|tensorsolve|vander/",
        "numpy.linalg has it, for x.detach().numpy(), without a gradient",
    ),
]  # fmt: skip


def hint(place: str, name: str) -> str | None:
    """The nearest way here to something that PyTorch has there; None if nothing is known of the name.

    >>> hint("minigrad", "inverse")
    'minigrad.linalg.inv(x)'
    """
    for group in GROUPS:
        if group.place == place and any(_means(entry, name) for entry in group.names.split()):
            return group.hint.replace("NAME", name)
    if place == "Tensor" or (place == "minigrad" and name.endswith("_")):
        return hint("minigrad", name.removesuffix("_"))
    return None


def _means(entry: str, name: str) -> bool:
    return re.fullmatch(entry[1:-1], name) is not None if entry.startswith("/") else entry == name


def explain(place: str, name: str, present: Iterable[str], methods: object = None) -> str:
    """What an AttributeError says of a name that is not there: the nearest way, or the closest spelling of one in `present`.

    >>> explain("minigrad", "tahn", ["tan", "tanh", "atan"])
    "minigrad has no 'tahn'; did you mean 'tan' or 'tanh'?"
    """
    where = place if place in ("minigrad", "Tensor") else f"minigrad.{place}"
    if name.startswith("_"):
        return f"{where} has no {name!r}"
    if hasattr(methods, name):
        return f"{where} has no {name!r}: it is a method, x.{name}(...)"
    nearest = hint(place, name)
    if nearest is not None:
        return f"{where} has no {name!r}: {nearest}"
    close = difflib.get_close_matches(name, [each for each in present if not each.startswith("_")], 2, 0.7)
    return f"{where} has no {name!r}" + (f"; did you mean {' or '.join(map(repr, close))}?" if close else "")
