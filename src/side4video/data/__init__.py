"""From lists of videos to batches of clips.

* lists/: lists of labelled and captioned videos: formats, detection, checks.
* loading/: loader processes: order, batches, watchdog.
* crops.py: which part of a frame the model sees.
* datasets.py: one clip, random or exhaustive.
* directions.py: left, right and clockwise in the names of classes.
* mixing.py: mixup and cutmix.
* rand_augment.py: RandAugment for clips.
* sampling.py: which frames make a clip.
* transforms.py: resizing, augmentation, normalisation.
"""
