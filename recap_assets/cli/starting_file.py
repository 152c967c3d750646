"""`recap init`: the embedded demo with its comments, then the keys for a pool of one's own."""

from recap_assets.specs.loading import DEMO

_OWN_POOL = """
# ---------------------------------------------------------------------------------------------
# A pool of your own. Put one of these in place of `pool` above.
#
# DataComp / img2dataset shards, in a folder or a bucket (s3://..., gs://...):
#
# pool:
#   kind: webdataset
#   shards: /data/datacomp_small/shards
#   metadata: /data/datacomp_small/metadata    # optional: parquet and npz, joined by uid
#   shards_per_partition: 64
#
# A list of URLs, fetched by img2dataset (`recap install-img2dataset` once; docs/downloading.md):
#
# pool:
#   kind: urls
#   urls: /data/datacomp_small/metadata        # parquet, csv, tsv, jsonl: `url`, `text`, `uid`
#   samples_per_shard: 10000
#
# A folder of images with a table of texts:
#
# pool:
#   kind: folder
#   images: /data/photos
#   texts: /data/photos.csv                    # columns `image` and `text`
#
# Captioners and a scorer from the hub, in place of the ones trained above (`corpora` and `models`
# then go):
#
# sources:
#   blip2:
#     kind: transformers
#     model: Salesforce/blip2-opt-2.7b
#     revision: <commit>                       # pin it
#     precision: bfloat16
#     decoding: {temperature: 0.75, top_k: 50, min_tokens: 5, max_tokens: 40}
#   vlm:                                       # behind vLLM, SGLang, or any such server
#     kind: openai
#     model: Qwen/Qwen2.5-VL-3B-Instruct       # `recap serve-captioner --source vlm` starts vLLM
#     base_url: http://127.0.0.1:8000/v1
#     prompt: Describe this image in one sentence.
#     decoding: {temperature: 0.75, max_tokens: 60}
#   coca: {kind: open_clip, model: coca_ViT-L-14, pretrained: mscoco_finetuned_laion2b_s13b_b90k}
#   released:                                  # captions that somebody else wrote, joined by uid
#     {kind: import, preset: datacomp_blip2, files: /data/captions/large_blip2_metadata_*.csv}
#   blip2_best: {kind: reranked, source: blip2, scorer: l14, keep: 1}   # best of its `candidates`
#
# scorers:
#   l14:
#     kind: open_clip
#     model: ViT-L-14
#     pretrained: openai
#     pool_scores: clip_l14_similarity_score   # optional: DataComp's own scores and embeddings
#     pool_embeddings: l14_img
#
# mixes:
#   raw_top30_blip2_filtered:                  # the paper's best mix
#     - {use: raw, where: {top: 0.3}}
#     - {use: blip2, where: {at_least: {top: 0.3, of: raw}}}
#   raw_top30_blip2:                           # trained without each of its sources, too
#     leave_one_source_out: true               # adds raw_top30_blip2_without_raw, ..._without_blip2
#     rules:
#       - {use: raw, where: {top: 0.3}}
#       - {use: blip2}
#
# Mixes written out in the form that another tool reads; see docs/exports.md:
#
# exports:
#   train: {mix: raw_top30_blip2_filtered, to: webdataset}   # tars for open_clip, DataComp's way
#   uids: {mix: raw_top30_blip2_filtered, to: subset}        # sorted uids, one file a source
#   published: {mix: raw_top30_blip2_filtered, to: huggingface, license: cc-by-4.0}
#
# ---------------------------------------------------------------------------------------------
# What the daemon does by itself while `recap ui` runs. Nothing here changes what is in a table.
#
# automation:
#   enabled: true                              # after an edit, and when shards land in the pool
#   stages: [pool, captions, scores, diversity, mixes]   # optional: leave out what costs too much
#   schedules:                                 # backfills of what is out of date, as cron lines
#     captions: 0 2 * * *                      # every night at two
#     scores: 15 * * * *                       # every hour
#   timezone: Europe/Berlin
#   partitions_per_run: 64
#   max_attempts: 3                            # launches of a partition that keeps failing
"""


def starting_file() -> str:
    """The text of a commented experiment file that runs as it is."""
    text = DEMO.read_text(encoding="utf-8").replace("name: demo\n", "name: my_experiment\n")
    return text + _OWN_POOL
