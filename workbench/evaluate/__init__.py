"""Measuring behaviour: lm-eval tasks scored on a loaded model, and the checks that rest on them."""
