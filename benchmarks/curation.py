"""`recap` on the stages before training alone: what a curation's own cost is measured with.

Worker processes import this file too, so that driver and workers see the same graph.
"""

from recap_assets.cli.main import main
from recap_assets.stages import captions, graph, mixes, pool, scores

graph.STAGES = (pool, captions, scores, mixes)

if __name__ == "__main__":
    main()
