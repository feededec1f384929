"""From data to a model file: configuration, augmentation, losses, optimisation, and the loop around them.

``config`` says what a run is made of, ``trainer`` runs it, ``run_folder`` is what is left of it on the disk.
"""
