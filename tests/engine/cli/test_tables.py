"""The tables that verbs show to people, from the dictionaries that --json gives."""

from __future__ import annotations

from engine.cli.evaluate import table

BOUND = {"step": 4096, "step_rule": "best on validation", "split": "test", "images": 10_000, "nats": 84.0123, "nats_se": 0.2519,
         "elbo_nats": 87.5, "elbo_nats_se": 0.26, "bits_per_dim": 0.1546, "bits_per_dim_se": 0.0005,
         "density": "bound", "k": 128}  # fmt: skip


def test_that_the_importance_weighted_bound_is_named_with_its_number_of_samples_and_the_elbo_is_another_row() -> None:
    rows = table(BOUND).splitlines()
    assert any(row.startswith("−log p(x), IWAE, K = 128") and row.endswith("84.0123 ± 0.2519 nat") for row in rows)
    assert any(row.startswith("−log p(x), IWAE, K = 128") and row.endswith("0.1546 ± 0.0005 bits/dim") for row in rows)
    assert any(row.startswith("−log p(x), ELBO") and row.endswith("87.5000 ± 0.2600 nat") for row in rows)
    assert any(row.split() == ["images", "10000"] for row in rows) and any(row.startswith("step rule") for row in rows)
    assert not any(row.startswith(("k ", "nats")) for row in rows)


def test_that_an_exact_density_is_no_bound_and_an_accuracy_stands_in_per_cent() -> None:
    text = table({"nats": 81.5, "nats_se": 0.1, "accuracy": 0.9065, "accuracy_se": 0.0029, "density": "exact"})
    assert "IWAE" not in text and "81.5000 ± 0.1000 nat" in text and "90.65 ± 0.29 %" in text


def test_that_what_has_no_standard_error_stands_alone() -> None:
    one = table({"nats": 81.5, "nats_se": float("nan"), "fd": 3.25, "fd_real": 1.5})
    assert "81.5000 nat" in one and "±" not in one and "Fréchet distance, real images 1.5000" in one
