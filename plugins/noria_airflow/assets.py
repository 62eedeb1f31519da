"""The events by which pipelines wake one another."""

from __future__ import annotations

from airflow.sdk import Asset

from noria.core.use_case import UseCase


def features(use_case: UseCase) -> Asset:
    """An interval's features and labels are there and passed their expectations."""
    return _asset(use_case, "features")


def predictions(use_case: UseCase) -> Asset:
    """An interval's batch predictions are there."""
    return _asset(use_case, "predictions")


def retrain(use_case: UseCase) -> Asset:
    """Monitoring asks for training; the event says as of when, and why."""
    return _asset(use_case, "retrain")


def model(use_case: UseCase) -> Asset:
    """Another model was promoted."""
    return _asset(use_case, "model")


def _asset(use_case: UseCase, noun: str) -> Asset:
    return Asset(name=f"{use_case.name}/{noun}", uri=f"noria://{use_case.name}/{noun}", group="noria")
