"""openmm-ml: an artefact -> `MLPotential`, for whole Systems and mixed ones."""
