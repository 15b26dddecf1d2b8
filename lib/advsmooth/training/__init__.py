"""Training: objectives, schedules, optimisers, weight perturbation, ensembles and the loop that joins them."""
