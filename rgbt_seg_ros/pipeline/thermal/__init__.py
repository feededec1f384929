"""From the raw values of any thermal camera to the band the model was trained on."""
