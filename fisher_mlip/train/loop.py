"""The training of a network, from frames to a checkpoint, by Lightning."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from fisher_mlip.config import TrainConfig, write_yaml
from fisher_mlip.data.frames import Frames
from fisher_mlip.data.reference_energies import resolve_reference_energies
from fisher_mlip.errors import InputError
from fisher_mlip.interruption import Interruption, noted_interruption
from fisher_mlip.model.checkpoint import (
    Checkpoint,
    CheckpointConfig,
    load_checkpoint,
    new_network,
    save_checkpoint,
)
from fisher_mlip.products import locked_folder, write_summary
from fisher_mlip.threads import use_fastest_threads
from fisher_mlip.train.averaging import AveragedWeights
from fisher_mlip.train.batches import label_graphs
from fisher_mlip.train.checkpoint_io import SafetensorsIO
from fisher_mlip.train.curve import CURVE_NAME, PICTURE_NAME, EpochRow, plot_curve, read_curve
from fisher_mlip.train.data_module import TrainingData
from fisher_mlip.train.metrics import errors
from fisher_mlip.train.module import ForceMatching
from fisher_mlip.train.normalization import element_shifts, normalize_network
from fisher_mlip.train.order import ORDER_NAME, TrainingOrder
from fisher_mlip.train.passes import fused_training
from fisher_mlip.train.record import TrainingRecord
from fisher_mlip.train.resume import is_spent, prepare_output, training_identity


def train_model(
    config: TrainConfig,
    training: Frames,
    validation: Frames,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    order: TrainingOrder | None = None,
    show: Callable[[EpochRow, float], object] = lambda row, used: None,
) -> Checkpoint:
    """Train a network and leave its best checkpoint, on the validation frames, in a folder.

    Args:
        config: hyperparameters.
        training: frames with energies, forces or both (eV, Å).
        validation: frames that choose the best epoch.
        output: folder; gets the checkpoint, the curve, and the state to resume from.
        resume: go on from that state; a training whose budget is spent is left as it is.
        overwrite: replace a training in `output`.
        order: what the training was asked for, kept in `output` for the one who resumes it.
        show: called with each epoch's row and the used part of the budget; not with the row of an
            epoch that an interruption cut short.

    Returns:
        the best checkpoint, as it was saved, on the CPU.

    Raises:
        InputError: frames, configuration or output cannot be used.
        UnstableRunError: the loss is not finite; the best checkpoint stays.
        KeyboardInterrupt: it was interrupted; says how far it came.
    """
    refuse_unusable(config, training, validation)
    identity = training_identity(config, training, validation)
    checkpoint = _checkpoint_config(config, training, validation)
    data, module, gradients = _data_and_module(config, checkpoint, training, validation)
    with _held(output), noted_interruption() as interruption, _quiet_lightning():
        state = prepare_output(
            output, identity, max_epochs=config.max_epochs, resume=resume, overwrite=overwrite
        )
        if state is not None and is_spent(config, output):
            return load_checkpoint(output)
        if order is not None:
            write_yaml(output / ORDER_NAME, order.model_dump(mode="json"))
        record = TrainingRecord(output, config, checkpoint, interruption, identity, show)
        trainer = _trainer(config, output, record)
        if not _uses_gpu(config):
            use_fastest_threads(lambda: module.trial_step(data.first_batch()))
        _fit(trainer, module, data, state, interruption)
        _finish(trainer, training, validation, record, gradients)
    if interruption.wanted:
        raise KeyboardInterrupt(record.progress)
    return load_checkpoint(output)


def _held(output: Path) -> AbstractContextManager[None]:
    """Hold the folder against another training; the first process does it for all GPUs' ones."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return nullcontext()
    output.mkdir(parents=True, exist_ok=True)
    return locked_folder(output)


def refuse_unusable(config: TrainConfig, training: Frames, validation: Frames) -> None:
    """Refuse what would fail or teach nothing, before anything is written.

    Raises:
        InputError: no frames, labels that the loss needs and no frame has, or no CUDA device.
    """
    for name, frames in (("training", training), ("validation", validation)):
        if not len(frames):
            raise InputError(f"expected at least one {name} frame, found none")
        for label, weight in (
            ("energy", config.energy_weight),
            ("forces", config.forces_weight),
            ("stress", config.stress_weight),
        ):
            if weight > 0.0 and all(getattr(frame, label) is None for frame in frames):
                raise InputError(
                    f"expected {label} in the {name} frames '{frames.source}' for a weight of "
                    f"{weight:g}, found none"
                )
    if config.stress_weight > 0.0 and not all(f.is_periodic for f in (*training, *validation)):
        raise InputError("expected periodic frames for a stress_weight above 0, found molecules")
    if not config.energy_weight + config.forces_weight + config.stress_weight > 0.0:
        raise InputError("expected a weight above 0 for energy, forces or stress, found none")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("expected a CUDA device for device 'cuda', torch sees none")


def _checkpoint_config(
    config: TrainConfig, training: Frames, validation: Frames
) -> CheckpointConfig:
    references = resolve_reference_energies(training)
    packages = ("fisher-mlip", "torch", "e3nn", "lightning")
    return CheckpointConfig(
        model=config.model,
        elements=training.elements,
        reference_energies=references.energies,
        dtype=config.dtype,
        data_hash=training.content_hash(),
        provenance={
            "training": config.model_dump(),
            "training_frames": len(training),
            "validation_frames": len(validation),
            "validation_hash": validation.content_hash(),
            "reference_energies": references.origin,
            "versions": {name: version(name) for name in packages},
        },
    )


def _data_and_module(
    config: TrainConfig, checkpoint: CheckpointConfig, training: Frames, validation: Frames
) -> tuple[TrainingData, ForceMatching, str]:
    graphs = label_graphs(training, checkpoint)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = new_network(checkpoint)
    shifts = element_shifts(training, checkpoint.elements, checkpoint.reference_energies)
    normalize_network(network, shifts, graphs)
    data = TrainingData(graphs, validation, checkpoint, config.batch_size, config.seed)
    fused, gradients = fused_training(network, config)
    return data, ForceMatching(network, config, fused), gradients


def _uses_gpu(config: TrainConfig) -> bool:
    return config.device != "cpu" and torch.cuda.is_available()


def _trainer(config: TrainConfig, output: Path, record: TrainingRecord) -> Trainer:
    on_gpu = _uses_gpu(config)
    averaging = [AveragedWeights(config.ema_decay)] if config.ema_decay > 0.0 else []
    callbacks: list[Callback] = [record, *averaging]
    return Trainer(
        accelerator="cuda" if on_gpu else "cpu",
        devices="auto" if on_gpu else 1,
        max_epochs=config.max_epochs,
        gradient_clip_val=config.gradient_clip,
        callbacks=callbacks,
        plugins=[SafetensorsIO()],
        default_root_dir=output,
        num_sanity_val_steps=0,
        # Forces are gradients; inference mode forbids them.
        inference_mode=False,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _fit(
    trainer: Trainer,
    module: ForceMatching,
    data: TrainingData,
    state: Path | None,
    interruption: Interruption,
) -> None:
    try:
        trainer.fit(module, datamodule=data, ckpt_path=state)
    except SystemExit:
        # Lightning leaves so after SIGTERM, and when a second Ctrl-C breaks into a step.
        if not interruption.wanted:
            raise


def _finish(
    trainer: Trainer, training: Frames, validation: Frames, record: TrainingRecord, gradients: str
) -> None:
    """Write what is known at the end; the other processes wait for the first."""
    if trainer.is_global_zero and read_curve(record.output / CURVE_NAME):
        _write_results(training, validation, record, gradients)
    trainer.strategy.barrier("finished")


def _write_results(
    training: Frames, validation: Frames, record: TrainingRecord, gradients: str
) -> None:
    output = record.output
    best = load_checkpoint(output)
    rows = read_curve(output / CURVE_NAME)
    metrics: dict[str, Any] = {
        "epochs": rows[-1].epoch,
        "best_epoch": record.best_epoch,
        "seconds": rows[-1].seconds,
        "parameters": sum(p.numel() for p in best.network.parameters()),
        **errors(best.network, training, best.config).as_metrics("training_"),
        **errors(best.network, validation, best.config).as_metrics("validation_"),
    }
    save_checkpoint(output, Checkpoint(best.network, best.config, metrics))
    plot_curve(rows, output / PICTURE_NAME)
    status = "interrupted" if record.interruption.wanted else "finished"
    facts = {"gradients": gradients, "data_hash": best.config.data_hash}
    write_summary(output, {"status": status, **metrics, **facts})


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning from telling what hardware it sees, and torch what Lightning should mend."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`")
            yield
    finally:
        logger.setLevel(level)
