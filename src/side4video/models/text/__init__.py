"""Text towers, and classifiers built from class names.

* caption_warnings.py: warnings about captions that are too long for a text tower, or in a language it does not know.
* class_names.py: prompts for class names, and their text embeddings.
* encoders.py: split a text into the pieces of CLIP's vocabulary, or of a tokenizer.json or SentencePiece file.
* pieces.py: the pieces of a text, the words that they form, and the letters that a tokeniser does not know.
* text_classifier.py: compares image embeddings with class embeddings, as CLIP's zero-shot classifier does.
* text_settings.py: settings of open_clip's text towers, from its table of models.
* text_tower.py: embeds each word of a caption and the whole sentence; builds a tower by name, with its tokeniser.
* tokeniser.py: token ids of captions, and the words that belong to the tokens.
* tokeniser_files.py: finds the tokeniser of a text tower, and checks that they belong together.
* tokeniser_kinds.py: special tokens and files of each kind of tokeniser.
* transformers.py: builds the transformer of a tower, and downloads its weights.
"""
