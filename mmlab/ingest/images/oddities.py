"""Which images are odd, judged by their facts alone: tiny, blurred, dark, blank, of an extreme aspect.

The bounds were set on 200 photos of 500 pixels, as they are and altered, and on drawn products, which are smooth.
"""

import numpy as np
import pandas as pd

from mmlab.ingest.rules import ASPECT, BLANK, BLURRED, DARK, TINY

TINY_BELOW = 16  # pixels of the shorter side: less than one patch of a ViT-B/16, such as spacers and icons
ASPECT_ABOVE = 4  # longer side over shorter: models see a square, of this no more than a quarter
BLANK_BELOW = 0.015  # contrast: 4 of 255 grey levels, more than what JPEG adds to a plain colour
DARK_BELOW = 0.1  # brightness: the darkest real photos at night have about that, but bright lights in them
DARK_CONTRAST_BELOW = 0.05  # so dark means also that nothing stands out
BLURRED_BELOW = (
    0.008  # sharpness: photos of 500 pixels blurred by 4 have less than 0.005, sound ones from 0.017
)


def odd_flags(looks: pd.DataFrame) -> pd.Series:
    """For each image a tuple of the flags (of `rules`) that its facts earn, indexed as `looks`; () where refused.

    looks: the facts of `images.Look`. Sharpness is the variance of the Laplacian (Pech-Pacheco et al., Diatom
    autofocusing in brightfield microscopy, ICPR 2000); what is tiny, dark or blank is not called blurred too.
    """
    facts = looks[["width", "height", "brightness", "contrast", "sharpness"]].astype("float64")
    sides = facts[["width", "height"]]
    shorter, longer = sides.min(axis=1), sides.max(axis=1)
    tiny, blank = shorter < TINY_BELOW, facts["contrast"] < BLANK_BELOW
    dark = (facts["brightness"] < DARK_BELOW) & (facts["contrast"] < DARK_CONTRAST_BELOW)
    blurred = (facts["sharpness"] < BLURRED_BELOW) & ~(tiny | dark | blank)
    holds = {TINY: tiny, BLURRED: blurred, DARK: dark, BLANK: blank, ASPECT: longer > ASPECT_ABOVE * shorter}
    names = np.array(list(holds), dtype=object)
    table = np.column_stack(list(holds.values()))
    return pd.Series([tuple(names[row]) for row in table], looks.index, dtype=object)
