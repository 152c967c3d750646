"""A model folder is data: read, bounded and checked here before a library sees it.

docs/adr/0013-a-model-folder-is-data.md says why. What a library is given in the end is a folder
of our making (`staging`): configs as they were checked, links to weights and vocabularies, and
nothing else of the model's folder.
"""
