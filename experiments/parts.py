"""The experiments by name: which runs they are made of."""

import math

from .runs import Run

TASKS = ("addition", "repeat", "priority_sort")
RECIPE = {  # what is left out: how
    "a falling rate": ("--rate_peak", "1", "--rate_fall", "0"),
    "averaged weights": ("--average", "0"),
    "clipped cell": ("--cell_clip", "0"),
    "bounded reads": ("--bounded_reads", "False"),
    "input columns": ("--input_scale", "0"),
    "forget gates": ("--forget_bias", "1"),
    "the decay of the past": ("--past_decay", "0"),
}


def generalise(seeds):
    """How far models trained on at most 12 rows go, beside the paper's start and an LSTM."""
    kinds = {"DNC": (), "DNC, the paper's": ("--paper",), "LSTM": ("--lstm_only",)}
    return {
        label: [Run(task, seed, given) for task in TASKS for seed in seeds]
        for label, given in kinds.items()
    }


def ablation(seeds, iterations=20000):
    """The recipe with each of its parts left out."""
    kinds = {"whole": (), **{f"without {part}": given for part, given in RECIPE.items()}}
    runs = {
        label: [Run(t, s, given, iterations) for t in ("addition", "repeat") for s in seeds]
        for label, given in kinds.items()
    }
    swapped = {"addition": "recall", "repeat": "accumulate"}
    runs["the other memory"] = [
        Run(task, seed, ("--memory", memory), iterations)
        for task, memory in swapped.items()
        for seed in seeds
    ]
    return runs


def links(seeds, iterations=20000):
    """The sparse link against the dense one, K from 1 to 16, and the paper's literal rule."""

    def runs(K, program=("dnc.py",)):
        given = () if K == 8 else ("--hps", f"256,64,4,256,{K}")
        tasks = ("addition", "repeat")
        return [Run(task, seed, given, iterations, program) for task in tasks for seed in seeds]

    labels = {f"K = {K}": runs(K) for K in (1, 2, 4, 8, 16)}
    labels["dense (K = 0)"] = runs(0)
    literal = ("-m", "experiments.literal")
    labels["the paper's rule, K = 8"] = [run for run in runs(8, literal) if run.task == "repeat"]
    return labels


def batches(seeds, sequences=50000):
    """Batches of 16 and 64 at equal numbers of sequences; rate and decay go with their roots."""

    def given(task, size):
        if size == 1:
            return ()
        root = math.sqrt(size)
        words = ("--batch_size", f"{size}", "--lr", f"{1e-4 * root:g}", "--rate_fall", "25000")
        decay = ("--past_decay", f"{300 * root:g}") if task == "addition" else ()
        return (*words, *decay)

    return {
        f"batch {size}": [
            Run(task, seed, given(task, size), sequences // size)
            for task in ("addition", "repeat")
            for seed in seeds
        ]
        for size in (1, 16, 64)
    }


def sort(seeds):
    """What batches, and a memory that selects, do for a sort."""
    single, plain = ("--batch_size", "1"), ("--memory", "plain")
    kinds = {
        "DNC": (),
        "DNC, batches of 1": single,
        "DNC, batches of 1, plain memory": (*single, *plain),
    }
    return {
        label: [Run("priority_sort", seed, given) for seed in seeds]
        for label, given in kinds.items()
    }


def ntm_sort(seeds):
    """The priority sort of Neural Turing Machines over training: 16 of 20 items are wanted."""
    program = ("-m", "experiments.ntm_sort")
    kinds = {"DNC": ("--memory", "plain"), "LSTM": ("--lstm_only",)}
    sizes = ("--max_seq_len", "42", "--max_seq_wid", "10", "--batch_size", "1")
    given = (*sizes, "--rate_fall", "40000")
    return {
        label: [Run("priority_sort", seed, (*given, *kind), 100000, program) for seed in seeds]
        for label, kind in kinds.items()
    }


PARTS = {
    "generalise": generalise,
    "ablation": ablation,
    "links": links,
    "batches": batches,
    "sort": sort,
    "ntm_sort": ntm_sort,
}
