"""One image: all captions and scores, and what each mix makes of it and why."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from recap_assets.graph.project import Project
from recap_assets.look import asking
from recap_assets.look.gallery import gallery_of, with_mixes
from recap_assets.look.page import rendered
from recap_assets.mixes.of_image import explain_image
from recap_assets.specs.mixes import Mix

MOST_MIXES = 12
"""Explained on one page: each takes some hundredths of a second."""


def pair(request: Request) -> Response:
    """The page of one image."""
    gallery = gallery_of(request)
    partition = request.path_params["partition"]
    uid = asking.uid(request.path_params["uid"])
    parts = _parts(gallery.project)
    part = asking.count(request, "mixes", 0, len(parts) - 1)
    answer = explain_image(with_mixes(gallery.project, parts[part]), uid.hex())
    image = gallery.images.find(partition, uid)
    if image is None:
        return RedirectResponse(f"/pair/{answer.samples['partition'][0]}/{uid.hex()}", 303)
    scorers = [name for name in answer.captions.columns if name.startswith("score.")]
    return rendered(
        request,
        "pair.html.jinja",
        title=uid.hex(),
        partition=partition,
        uid=uid,
        sha256=image.values["sha256"],
        size=image.values["size"],
        samples=answer.samples.to_dicts(),
        captions=answer.captions.to_dicts(),
        scorers=[name.removeprefix("score.") for name in scorers],
        best={name: answer.captions[name].max() for name in scorers},
        mixes=answer.mixes,
        groups=parts,
        group=part,
        has_alike=bool(gallery.embedders),
    )


def _parts(project: Project) -> list[dict[str, Mix]]:
    """The mixes, MOST_MIXES at a time."""
    mixes = list(project.experiment.mixes.items())
    return [dict(mixes[at : at + MOST_MIXES]) for at in range(0, len(mixes), MOST_MIXES)]


def picture(request: Request) -> Response:
    """The image as a JPEG of bounded size."""
    uid = asking.uid(request.path_params["uid"])
    kind = request.path_params["kind"]
    partition = request.path_params["partition"]
    if kind not in ("thumb", "view"):
        return Response(status_code=404)
    small = gallery_of(request).images.small(partition, uid, kind)
    if small is None:
        return Response(_NO_IMAGE, media_type="image/svg+xml")
    cached = {"Cache-Control": "private, max-age=3600"}
    return Response(small, media_type="image/jpeg", headers=cached)


def original(request: Request) -> Response:
    """The image's bytes as the pool has them, which have the sha256 of its row."""
    uid = asking.uid(request.path_params["uid"])
    images = gallery_of(request).images
    image = images.find(request.path_params["partition"], uid)
    data = None if image is None else images.encoded(image)
    if image is None or data is None:
        return Response("The image is gone, or has changed since it was indexed.\n", 404)
    # As a download: what strangers made is decoded here, and by no browser.
    headers = {
        "Content-Disposition": f'attachment; filename="{uid.hex()}"',
        "ETag": f'"{(image.values["sha256"] or b"").hex()}"',
    }
    return Response(data, media_type=image.media_type, headers=headers)


_NO_IMAGE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 224 224"><path d="M72 72l80 80m0-80l-80 '
    '80" stroke="#8a9099" stroke-width="6"/></svg>'
)

ROUTES = (
    Route("/pair/{partition}/{uid}", pair),
    Route("/image/{kind}/{partition}/{uid}", picture),
    Route("/bytes/{partition}/{uid}", original),
)
