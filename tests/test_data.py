"""Datasets, samplers, collating, DataLoader: PyTorch's semantics, batches made ahead, epochs resumed in the middle."""

import collections
import gc
import itertools
import random
import threading
import time
import traceback
import warnings

import numpy as np
import pytest

import minigrad
from minigrad_nn.utils import data


class Squares(data.Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if index >= self.n:
            raise IndexError(index)
        return index, float(index * index)


class Count(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def plain(batch):
    """A batch, ours or PyTorch's, in numbers and lists, with dtypes."""
    if hasattr(batch, "tolist") and hasattr(batch, "dtype"):
        return str(batch.dtype).rpartition(".")[2], batch.tolist()
    if isinstance(batch, (dict, collections.UserDict)):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple, collections.UserList)):
        return type(batch).__name__, [plain(each) for each in batch]
    return batch


def numbers(loader):
    return [batch.tolist() for batch in loader]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def both(torch):
    return (minigrad, data), (torch, torch.utils.data)


# ----------------------------------------------------------------------------------------------------------- datasets


def test_datasets_are_pytorchs(both):
    results = []
    for lib, there in both:
        rows = there.TensorDataset(lib.tensor([[1, 2], [3, 4], [5, 6]]), lib.tensor([7, 8, 9]))
        joined = there.ConcatDataset([rows, there.Subset(rows, [2, 0])])
        stacked, named = there.StackDataset(rows, range(3)), there.StackDataset(a=rows, b=range(3))
        found = [rows[1], rows[-1], rows[1:], len(rows), len(joined), [joined[i] for i in range(-5, 5)], len(stacked), stacked[2], named[0]]
        found += [stacked.__getitems__([2, 1]), named.__getitems__([0]), joined.cumulative_sizes]
        found += [there.Subset(joined, [4, 1]).__getitems__([1, 0]), there.Subset(rows, [2, 1])[[0, 1]]]
        results.append(plain(found))
    assert results[0] == results[1]


def test_datasets_refuse_as_pytorchs(both):
    class Halfway:
        pass

    cases = [
        lambda lib, d: d.TensorDataset(lib.ones(2), lib.ones(3)),
        lambda lib, d: d.ConcatDataset([]),
        lambda lib, d: d.ConcatDataset([type("I", (d.IterableDataset,), {"__iter__": lambda self: iter(())})()]),
        lambda lib, d: d.ConcatDataset([[1, 2]])[-3],
        lambda lib, d: d.ConcatDataset([[1, 2]])[2],
        lambda lib, d: d.StackDataset(),
        lambda lib, d: d.StackDataset([1], a=[2]),
        lambda lib, d: d.StackDataset([1], [2, 3]),
        lambda lib, d: list(d.ChainDataset([[1, 2]])),
        lambda lib, d: d.Dataset()[0],
        lambda lib, d: type("S", (d.Subset,), {"__getitem__": lambda self, i: i})([1], [0]),
        lambda lib, d: d.random_split(range(5), [2, 2]),
        lambda lib, d: d.random_split(range(5), [1.5, -0.5]),
        lambda lib, d: d.RandomSampler([]),
        lambda lib, d: d.RandomSampler([1], replacement=1),
        lambda lib, d: d.RandomSampler([1], num_samples=0),
        lambda lib, d: d.RandomSampler([1], num_samples=1.0),
        lambda lib, d: d.WeightedRandomSampler([1.0], True),
        lambda lib, d: d.WeightedRandomSampler([1.0], 1, replacement=0),
        lambda lib, d: d.WeightedRandomSampler([[1.0]], 1),
        lambda lib, d: d.BatchSampler([1], 0, False),
        lambda lib, d: d.BatchSampler([1], True, False),
        lambda lib, d: d.BatchSampler([1], 1, 0),
        lambda lib, d: d.default_collate([Halfway(), Halfway()]),
        lambda lib, d: d.default_collate([[1, 2], [3]]),
        lambda lib, d: d.default_collate([np.array(["a"]), np.array(["b"])]),
        lambda lib, d: d.default_collate([lib.ones(2), lib.ones(3)]),
        lambda lib, d: d.default_collate([]),
        lambda lib, d: d.default_collate([{"a": 1}, {"b": 2}]),
    ]
    for number, case in enumerate(cases):
        classes = []
        for lib, there in both:
            with pytest.raises(Exception) as caught:
                case(lib, there)
            classes.append(caught.type)
        assert classes[0] is classes[1], (number, classes)


def test_a_dataset_of_no_tensors_is_refused_at_once():
    with pytest.raises(IndexError, match="at least one"):
        data.TensorDataset()


def test_adding_datasets():
    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2] and len(Count(2) + Count(3)) == 5
    joined = Squares(2) + Squares(3)
    assert isinstance(joined, data.ConcatDataset) and joined[4] == (2, 4.0)


@pytest.mark.parametrize("lengths", [[3, 7], [0.3, 0.3, 0.4], [0.5, 0.5], [1.0], [10], [0.26, 0.26, 0.26, 0.22]])
def test_splits_have_pytorchs_lengths_and_miss_nothing(torch, lengths):
    mine = data.random_split(range(10), lengths, generator=minigrad.Generator().manual_seed(1))
    assert [len(each) for each in mine] == [len(each) for each in torch.utils.data.random_split(range(10), lengths)]
    assert sorted(index for each in mine for index in each.indices) == list(range(10))
    again = data.random_split(range(10), lengths, generator=minigrad.Generator().manual_seed(1))
    assert [each.indices for each in again] == [each.indices for each in mine]


def test_an_empty_part_is_a_warning():
    with pytest.warns(UserWarning, match="no examples"):
        assert [len(each) for each in data.random_split(range(1), [0.5, 0.5])] == [1, 0]


# ----------------------------------------------------------------------------------------------------------- samplers


def test_random_orders_hang_on_the_generator_only():
    def seeded():
        return minigrad.Generator().manual_seed(3)

    makers = [
        lambda g: data.RandomSampler(range(50), generator=g),
        lambda g: data.RandomSampler(range(50), num_samples=120, generator=g),
        lambda g: data.RandomSampler(range(50), replacement=True, num_samples=70, generator=g),
        lambda g: data.SubsetRandomSampler(range(100, 150), generator=g),
        lambda g: data.WeightedRandomSampler(range(1, 51), 40, generator=g),
        lambda g: data.WeightedRandomSampler(range(1, 51), 40, replacement=False, generator=g),
        lambda g: data.BucketSampler([7 * i % 13 for i in range(50)], 4, bucket_size=3, generator=g),
    ]
    for make in makers:
        sampler = make(seeded())
        first, second, again = list(sampler), list(sampler), list(make(seeded()))
        assert first == again and first != second and len(first) == len(sampler)
        minigrad.manual_seed(5)
        of_default = list(make(None))
        minigrad.manual_seed(5)
        assert of_default == list(make(None))
    order = list(data.RandomSampler(range(50), num_samples=120, generator=seeded()))
    assert sorted(order[:50]) == sorted(order[50:100]) == list(range(50)) and len(set(order[100:])) == 20
    assert len(set(data.WeightedRandomSampler(range(1, 51), 40, replacement=False))) == 40
    assert set(data.WeightedRandomSampler([0, 1, 0, 3], 100)) == {1, 3}


@pytest.mark.parametrize("n", [0, 1, 7, 8])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_of_indices_are_pytorchs(torch, n, drop_last):
    for size in (1, 3, 4, 10):
        mine, theirs = data.BatchSampler(range(n), size, drop_last), torch.utils.data.BatchSampler(range(n), size, drop_last)
        assert list(mine) == list(theirs) and len(mine) == len(theirs)


@pytest.mark.parametrize("seed", range(20))
def test_buckets_hold_similar_lengths_and_everything_once(seed):
    dice = random.Random(seed)
    n, size = dice.randint(0, 200), dice.randint(1, 9)
    lengths = [dice.randint(1, 40) for _ in range(n)]
    for shuffle in (False, True):
        for drop_last in (False, True):
            sampler = data.BucketSampler(lengths, size, shuffle, drop_last, bucket_size=dice.randint(1, 8))
            batches = list(sampler)
            found = [index for batch in batches for index in batch]
            assert len(batches) == len(sampler) and len(set(found)) == len(found)
            assert len(found) == (n // size * size if drop_last else n)
            assert all(len(batch) == size for batch in batches if drop_last)
    whole = data.BucketSampler(minigrad.tensor(lengths) if n else [], size, bucket_size=1000)
    spans = sum(max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in whole)
    assert spans <= 40 * 2


def test_buckets_refuse():
    for arguments in ([[1]], [[1], 0], [[1], 1, 1], [[1], 1, True, 0], [[1], 1, True, False, 0], [[[1]], 1]):
        with pytest.raises((ValueError, TypeError)):
            data.BucketSampler(*arguments)


# ----------------------------------------------------------------------------------------------------------- collating

Point = collections.namedtuple("Point", "x y")


def examples(lib):
    return [
        [1, 2], [1.5, 2], [1, 2.5], [True, False], ["a", "b"], [b"a", b"b"], [np.float32(1), np.float32(2)], [np.int64(1), np.int64(3)],
        [np.bool_(True), np.bool_(False)], [np.float64(1), np.float64(2)], [np.ones(2), np.zeros(2)], [np.int8([1]), np.int8([2])],
        [lib.ones(2), lib.zeros(2)], [lib.tensor(1), lib.tensor(2)], [(1, 2.0), (3, 4.0)], [[1, "a"], [2, "b"]], [Point(1, 2), Point(3, 4)],
        [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}], [collections.OrderedDict(a=1)] * 2, [(1, {"z": (2, "x")})] * 3,
        [range(3), range(3)], [[], []], [(), ()], [{}, {}], [collections.defaultdict(list, a=1)] * 2,
        [collections.UserDict(a=1)] * 2, [collections.UserList([1, 2])] * 2,
    ]  # fmt: skip


def test_collating_is_pytorchs(both):
    for mine, theirs in zip(examples(both[0][0]), examples(both[1][0]), strict=True):
        got, expected = both[0][1].default_collate(mine), both[1][1].default_collate(theirs)
        assert type(got).__name__ == type(expected).__name__ and plain(got) == plain(expected), mine
        got, expected = both[0][1].default_convert(mine), both[1][1].default_convert(theirs)
        assert plain(got) == plain(expected), mine


# ---------------------------------------------------------------------------------------------------------- DataLoader


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seed", range(6))
def test_loaders_give_pytorchs_batches(both, workers, seed):
    dice = random.Random(seed)
    n = dice.randint(1, 20)
    options = dice.choice(
        [{"batch_size": dice.randint(1, 6), "drop_last": dice.random() < 0.5}, {"batch_size": None}, {"batch_sampler": [[0], [0, 0, 0]]},
         {"sampler": [0, 0], "batch_size": 2}, {"collate_fn": str, "batch_size": 3}, {}]
    )  # fmt: skip
    for make in (Squares, Count, lambda n: {i: np.float32(i) for i in range(n)}, lambda n: [{"x": i} for i in range(n)]):
        found = []
        for lib, there in both:
            dataset = make(n)
            if isinstance(dataset, Count):
                if "sampler" in options or "batch_sampler" in options:
                    continue
                dataset = type("Count", (there.IterableDataset,), {"__iter__": lambda self: iter(range(n)), "__len__": lambda self: n})()
            loader = there.DataLoader(dataset, **options, **({"num_workers": workers} if lib is minigrad else {}))
            found.append((len(loader), [plain(batch) for batch in loader], [plain(batch) for batch in loader]))
        assert found[:1] == found[1:]


def test_options_are_refused_as_pytorchs(both):
    sampler, batches = [0], [[0]]
    cases = [
        {"num_workers": -1}, {"timeout": -1}, {"prefetch_factor": 2}, {"num_workers": 1, "prefetch_factor": -1},
        {"persistent_workers": True},
        {"multiprocessing_context": "fork"}, {"sampler": sampler, "shuffle": True}, {"batch_sampler": batches, "batch_size": 2},
        {"batch_sampler": batches, "shuffle": True}, {"batch_sampler": batches, "sampler": sampler},
        {"batch_sampler": batches, "drop_last": True},
        {"batch_size": None, "drop_last": True}, {"batch_size": 0}, {"batch_size": 2.0}, {"drop_last": 1}, {"dataset": [], "shuffle": True},
        {"dataset": Count, "shuffle": True}, {"dataset": Count, "sampler": sampler}, {"dataset": Count, "batch_sampler": batches},
    ]  # fmt: skip
    for options in cases:
        classes = []
        for _, there in both:
            dataset = options.get("dataset", [1, 2, 3])
            if dataset is Count:
                dataset = type("Count", (there.IterableDataset,), {"__iter__": lambda self: iter(())})()
            with pytest.raises(Exception) as caught:
                there.DataLoader(dataset, **{key: value for key, value in options.items() if key != "dataset"})
            classes.append(caught.type)
        assert classes[0] is classes[1], options
    loader = data.DataLoader([1, 2])
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"):
        with pytest.raises(ValueError, match=name):
            setattr(loader, name, 1)
    with pytest.raises(AssertionError, match="timeout"):
        iter(data.DataLoader([1], timeout=3))
    with pytest.warns(UserWarning, match="pin_memory"):
        iter(data.DataLoader([1], pin_memory=True))


@pytest.mark.parametrize("workers", [0, 3])
def test_shuffling_hangs_on_the_generator(workers):
    def loader(seed):
        return data.DataLoader(range(30), 4, shuffle=True, generator=minigrad.Generator().manual_seed(seed), num_workers=workers)

    one, other = loader(1), loader(1)
    first, second = numbers(one), numbers(one)
    assert first == numbers(other) and second == numbers(other) and first != second and first != numbers(loader(2))
    assert sorted(itertools.chain(*first)) == list(range(30))


def test_two_iterations_at_once_do_not_disturb_each_other():
    loader = data.DataLoader(range(6), 2, num_workers=1)
    assert [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)] == [([0, 1],) * 2, ([2, 3],) * 2, ([4, 5],) * 2]


# ---------------------------------------------------------------------------------------------------------- background


class Broken(Squares):
    def __getitem__(self, index):
        if index == 3:
            raise KeyError("the third is broken")
        return index


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "DataLoader"]


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_errors_arrive_in_the_loop_with_their_traceback_and_it_can_go_on(workers):
    batches = iter(data.DataLoader(Broken(6), num_workers=workers))
    assert [next(batches).item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="third is broken") as caught:
        next(batches)
    text = "".join(traceback.format_exception(caught.value))
    assert "__getitem__" in text and 'raise KeyError("the third is broken")' in text
    assert [batch.item() for batch in batches] == [4, 5]


def test_the_thread_ends_with_the_epoch_and_when_the_loop_is_left():
    loader = data.DataLoader(range(100), num_workers=2)
    assert len(numbers(loader)) == 100 and readers() == []
    for batch in loader:
        if batch.item() == 3:
            break
    del batch
    gc.collect()
    assert readers() == []
    with pytest.raises(ZeroDivisionError):
        for _ in loader:
            _ = 1 / 0
    gc.collect()
    assert readers() == []


def test_only_so_many_batches_are_made_ahead():
    made = []

    class Watched(Squares):
        def __getitem__(self, index):
            made.append(index)
            return index

    batches = iter(data.DataLoader(Watched(100), num_workers=2, prefetch_factor=3))
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 7 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert made == list(range(7))


def test_waiting_has_an_end():
    gate = threading.Event()

    class Slow(Squares):
        def __getitem__(self, index):
            gate.wait(10)
            return index

    batches = iter(data.DataLoader(Slow(3), num_workers=1, timeout=0.05))
    with pytest.raises(RuntimeError, match="timed out"):
        next(batches)
    gate.set()
    assert next(batches).item() == 0


def test_the_thread_is_prepared_once():
    called = []
    assert len(numbers(data.DataLoader(range(5), num_workers=3, worker_init_fn=called.append))) == 5
    assert called == [0] and data.get_worker_info() is None


# ------------------------------------------------------------------------------------------------------------ resuming


def loaders(seed):
    """A function that makes the same loader again, with a generator of its own or without."""
    dice = random.Random(seed)
    n, size, workers, own = dice.randint(1, 40), dice.randint(1, 6), dice.choice([0, 0, 1, 3]), dice.random() < 0.5
    kind = dice.choice(["shuffle", "order", "weighted", "replacement", "subset", "bucket", "iterable", "single"])

    def make():
        g = minigrad.Generator().manual_seed(seed) if own else None
        common = {"num_workers": workers}
        if kind == "bucket":
            return data.DataLoader(range(n), batch_sampler=data.BucketSampler([i % 7 for i in range(n)], size, generator=g), **common)
        if kind == "iterable":
            return data.DataLoader(Count(n), size, **common)
        if kind in ("shuffle", "order", "single"):
            return data.DataLoader(range(n), None if kind == "single" else size, shuffle=kind != "order", generator=g, **common)
        sampler = {
            "weighted": lambda: data.WeightedRandomSampler([1.0] * n, n, generator=g),
            "replacement": lambda: data.RandomSampler(range(n), replacement=True, num_samples=2 * n, generator=g),
            "subset": lambda: data.SubsetRandomSampler(range(n), generator=g),
        }[kind]()
        return data.DataLoader(range(n), size, sampler=sampler, **common)

    return make, dice


def rows(batch):
    return batch.tolist() if hasattr(batch, "tolist") else batch


@pytest.mark.parametrize("seed", range(60))
def test_an_interrupted_epoch_goes_on_bit_for_bit(tmp_path, seed):
    make, dice = loaders(seed)
    minigrad.manual_seed(seed)
    loader, whole = make(), []
    for _ in range(3):
        whole += [(rows(batch), minigrad.rand(1).item()) for batch in loader]
    stop, found = dice.randint(0, len(whole)), []
    minigrad.manual_seed(seed)
    loader = make()
    epoch, left = 0, False
    while epoch < 3 and not left:
        for batch in loader:
            found.append((rows(batch), minigrad.rand(1).item()))
            if left := len(found) == stop:
                break
        epoch += not left
    minigrad.save({"loader": loader.state_dict(), "stream": minigrad.get_rng_state(), "epoch": epoch}, tmp_path / "position")
    minigrad.manual_seed(999)
    saved = minigrad.load(tmp_path / "position")
    loader = make()
    minigrad.set_rng_state(saved["stream"])
    loader.load_state_dict(saved["loader"])
    assert (loader.state_dict()["batches"] is None) == (saved["loader"]["batches"] is None)
    for _ in range(saved["epoch"], 3):
        found += [(rows(batch), minigrad.rand(1).item()) for batch in loader]
    assert found == whole


def test_a_position_before_the_first_batch_and_after_the_last():
    loader = data.DataLoader(range(4), 2, shuffle=True)
    running = iter(loader)
    at_start, expected = loader.state_dict(), None
    expected = numbers(running)
    loader.load_state_dict(at_start)
    assert numbers(loader) == expected
    for _ in loader:
        at_end = loader.state_dict()
    loader.load_state_dict(at_end)
    assert at_end["batches"] == 2 and numbers(loader) == [] and len(numbers(loader)) == 2
    assert loader.state_dict() == {"batches": None, "begun": None, "now": None}


def test_positions_that_do_not_fit_are_refused_and_change_nothing():
    loader = data.DataLoader(range(4), 2, shuffle=True, generator=minigrad.Generator().manual_seed(2))
    next(iter(loader))
    good = loader.state_dict()
    before = plain(good)
    short = minigrad.zeros(3, dtype=minigrad.uint8)
    wrong = [
        {}, None, 3, {**good, "batches": 3}, {**good, "batches": -1}, {**good, "batches": "1"}, {**good, "now": None},
        {**good, "begun": None},
        {**good, "now": short}, {**good, "begun": short}, {**good, "now": 3}, {**good, "extra": 1}, {**good, "batches": None},
    ]  # fmt: skip
    for state in wrong:
        with pytest.raises(ValueError):
            loader.load_state_dict(state)
        assert plain(loader.state_dict()) == before
    with pytest.raises(ValueError, match="generator"):
        data.DataLoader(range(4), 2).load_state_dict(good)


def test_long_orders_are_cheap_to_skip():
    loader = data.DataLoader(range(10**6), 2, shuffle=True)
    batches = iter(loader)
    for _ in itertools.islice(batches, 1000):
        pass
    expected, state = next(batches).tolist(), loader.state_dict()
    state["batches"] -= 1
    loader.load_state_dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert next(iter(loader)).tolist() == expected
