"""The verb `inspect`: `serve` opens the page, `results` says what came of it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from data import splits
from data.verb import Verb
from lensjax.errors import InputError, some

if TYPE_CHECKING:
    from classifiers.inspection.neighbours import Neighbours
    from classifiers.inspection.objects import Object
    from classifiers.inspection.pictures import Pictures
    from classifiers.inspection.stamps import Source
    from classifiers.inspection.store import Store

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Serve:
    """Serves the page on this machine and prints its address. Ctrl-C ends it; the same command goes
    on with it."""

    table: tyro.conf.Positional[Path]
    """candidates: CSV, Parquet or FITS with a column of ids"""
    out: Path
    """folder of this inspection: its grades, and the page's token"""
    images: Path | None = None
    """run directory or shards, or a folder of cutouts"""
    bricks: Path | None = None
    """folder of coadds instead: stamps are cut at ra, dec of the bricks in the column brickname"""
    calibration: Path | None = None
    """table of calibration items: lenses, injections and confusers, told apart by a column truth"""
    calibration_images: Path | None = None
    """of the calibration items, where they are elsewhere"""
    id: str = "id"
    """column of the ids, in both tables"""
    order: Literal["shuffled", "ranked"] = "shuffled"
    """ranked: candidates by falling score, which the grader may guess"""
    score: str = "score"
    """column to rank by"""
    within: int = 0
    """all calibration items are among the first so many objects; 0: anywhere"""
    show: tuple[str, ...] = ()
    """columns that the page shows; none: graders see pictures alone"""
    seed: int = splits.SEED
    """of the order"""
    survey: str = ""
    """name or definition, where the images do not say it"""
    files: str = ""
    """name of an object's file of cutouts, with {id} and {band}; empty: the usual names"""
    size: int = 0
    """side of the cutouts, pixels, if it is not the survey's"""
    finder: str = ""
    """folder of a training whose saliency is shown"""
    neighbours: Path | None = None
    """neighbours.csv of `lensjax shortcuts`: the stamps nearest to an object are shown with it"""
    title: str = "Inspection"
    """of the page"""
    port: int = 8765
    """0: any that is free"""


@dataclass(frozen=True)
class Results:
    """Writes grades, agreement, and the graders' selection function of an inspection."""

    inspection: tyro.conf.Positional[Path]
    """folder of the inspection"""
    out: Path | None = None
    """folder of the tables; default: results/ in the inspection's"""
    accept: str = "B"
    """worst grade that counts as accepted"""
    rule: Literal["majority", "any", "all"] = "majority"
    """which part of the graders has to accept"""
    axes: dict[str, str] = field(default_factory=dict)
    """column and edges to break the completeness down by: theta_e 0.5,1,1.5,2.5"""
    host: str = ""
    """column of what injections share; empty: they are independent"""
    found: tuple[str, float] | None = None
    """column and score above which the finder found a calibration item; others do not count"""
    finder: Path | None = None
    """run directory or completeness table of the finder, to multiply with"""
    threshold: str = "0.5"
    """of the finder: score, or name"""


Asked = (
    Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Results, tyro.conf.subcommand("results")]
)


def work(argv: list[str]) -> int:
    """Runs one of the two. Raises InputError for what cannot be used."""
    asked: Serve | Results = tyro.cli(Asked, args=argv, prog="lensjax inspect")  # type: ignore
    return serve(asked) if isinstance(asked, Serve) else results(asked)


def serve(asked: Serve) -> int:
    """Opens or goes on with an inspection, and serves its page until it is interrupted."""
    try:
        import uvicorn

        from classifiers.inspection.app import application
    except ImportError as error:
        raise InputError(f"{error}; pip install 'lensjax[inspect]'") from None
    from classifiers.inspection.guard import addresses

    pictures = pictures_of(asked)
    store = opened(asked)
    near = neighbours_of(asked, store)
    # Pictures are made once now, so that nobody waits for imports and compilation.
    if store.count and not pictures.problem(first := store.object(1).id):
        pictures.of(first, pictures.panels[-1].name)
    bound = _bound(asked.port)
    port = bound.getsockname()[1]
    token = token_of(asked.out)
    config = uvicorn.Config(
        application(store, pictures, token, addresses(port), near),
        log_level="warning",
        access_log=False,  # addresses hold the token
        server_header=False,
        lifespan="off",
        loop="asyncio",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    print(f"inspect: {store.count} objects; grades go to {store.path}")
    if asked.neighbours is not None:
        print(f"inspect: {len(near) or 'none'} of them with neighbours")
    print(f"inspect: http://{LOOPBACK}:{port}/{token}/", flush=True)
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:
        pass
    finally:
        store.close()
    print("inspect: stopped; the same command goes on with it")
    return 0


def opened(asked: Serve) -> Store:
    """The grades of this inspection: those that are there, or a new file. Raises InputError when
    what is there is of other tables or another order."""
    from classifiers.inspection.objects import read
    from classifiers.inspection.store import FILE, Store
    from data.files import sha256

    made = read(
        asked.table,
        asked.calibration,
        id=asked.id,
        order=asked.order,
        score=asked.score,
        within=asked.within,
        seed=asked.seed,
    )
    mixed = any(o.calibration for o in made)
    _may_show(asked.show, made, mixed)
    given = {"table": asked.table, "calibration": asked.calibration}
    fixed = {k: v and sha256(v) for k, v in given.items()}
    fixed |= {k: getattr(asked, k) for k in ("id", "order", "score", "within", "seed")}
    session: dict[str, Any] = {**fixed, "show": asked.show, "title": asked.title, "mixed": mixed}
    path = asked.out / FILE
    if not path.is_file():
        return Store.create(path, made, session)
    store = Store(path)
    if other := [k for k, v in fixed.items() if store.session.get(k) != v]:
        store.close()
        raise InputError(
            f"{path}: of another inspection ({', '.join(other)} differ); give another --out, or "
            "the tables and settings that it was started with"
        )
    store.session |= session
    return store


def _may_show(show: tuple[str, ...], made: list[Object], mixed: bool) -> None:
    """Raises InputError for columns that are not there, or that tell calibration items."""
    known = {"id", *(name for o in made for name in o.about)}
    if unknown := [name for name in show if name not in known]:
        raise InputError(f"show: no column {unknown[0]!r}; there are {some(sorted(known), 12)}")
    if mixed and "id" in show:
        raise InputError("show: ids would tell calibration items; leave id out")
    for name in show if mixed else ():
        if any(o.about.get(name) is None for o in made):
            raise InputError(
                f"show: {name} is not known for all objects, which may tell calibration items; "
                "fill it in, or do not show it"
            )


def neighbours_of(asked: Serve, store: Store) -> Neighbours:
    """Neighbours of the objects; none where no table is given. Raises InputError as
    `neighbours.read` and `neighbours.of_these` do."""
    from classifiers.inspection import neighbours

    if asked.neighbours is None:
        return {}
    made = [store.object(number) for number in range(1, store.count + 1)]
    mixed = bool(store.session.get("mixed"))
    return neighbours.of_these(neighbours.read(asked.neighbours), made, mixed, asked.neighbours)


def pictures_of(asked: Serve) -> Pictures:
    """Pictures of the candidates and of the calibration items."""
    from classifiers.inspection.pictures import Pictures
    from classifiers.inspection.stamps import Stamps
    from classifiers.inspection.stamps import opened as stamps_of

    own, place = _own_stamps(asked)
    stamp: Stamps = own
    if asked.calibration_images is not None:
        more = stamps_of(asked.calibration_images, asked.survey, asked.files, asked.size)
        if more.survey.bands != own.survey.bands:
            raise InputError(f"{asked.calibration_images}: of other bands than {place}")
        if more.side != own.side:
            raise InputError(
                f"{asked.calibration_images}: stamps of {more.side} pixels, and those of the "
                f"candidates have {own.side}, which would tell them apart; cut them alike"
            )

        def either(id: str) -> Any:
            try:
                return own(id)
            except InputError:
                return more(id)

        stamp = either

    saliency = None
    if asked.finder:
        from classifiers import frozen
        from classifiers.inspection.saliency import Saliency

        saliency = Saliency(frozen.load(Path(asked.finder)))
    return Pictures(stamp, own.survey, saliency)


def _own_stamps(asked: Serve) -> tuple[Source, Path]:
    """Stamps of the candidates, and of calibration items that have no folder of their own; and the
    folder that they come from. Raises InputError unless there is one such folder."""
    from classifiers.inspection import frombricks
    from classifiers.inspection.stamps import opened as stamps_of
    from data.survey import chosen

    if asked.images is not None and asked.bricks is None:
        return stamps_of(asked.images, asked.survey, asked.files, asked.size), asked.images
    if asked.bricks is None or asked.images is not None:
        raise InputError("give one of --images (files of stamps) and --bricks (coadds)")
    survey = chosen(asked.survey, asked.bricks)
    where = frombricks.places(asked.table, asked.id)
    if asked.calibration is not None and asked.calibration_images is None:
        where = {**frombricks.places(asked.calibration, asked.id), **where}
    side = asked.size or survey.stamp
    found = frombricks.Bricks(asked.bricks, survey, side, where)
    if found.absent:
        print(
            f"inspect: {len(found.absent)} of {found.bricks} bricks have no image below "
            f"{asked.bricks} ({some(found.absent)}); their objects are shown without a picture"
        )
    return found, asked.bricks


def token_of(out: Path) -> str:
    """The secret part of the page's address: made once, kept in a file that only its owner reads,
    so that an open page goes on when the server is started again."""
    path = out / "token"
    if path.is_file() and (kept := path.read_text().strip()):
        return kept
    out.mkdir(parents=True, exist_ok=True)
    made = secrets.token_urlsafe(24)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(made + "\n")
    return made


def _bound(port: int) -> socket.socket:
    """A socket of this machine alone. Raises InputError when the port is taken."""
    # asyncio sends small answers at once only where a socket says that it is TCP; else each waits
    # 40 ms for the other side's acknowledgement.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise InputError(f"port {port} cannot be used ({error}); give another, or 0") from None
    return bound


def results(asked: Results) -> int:
    """Writes the tables and prints the main figures."""
    from classifiers.audit.population_verb import number_or_name
    from classifiers.inspection import agreement, export, graders
    from classifiers.inspection.store import FILE, Store
    from classifiers.selection import SelectionFunction, tablefile

    store = Store(asked.inspection / FILE)
    grades = store.grades()
    store.close()
    if grades.empty:
        raise InputError(f"{store.path}: holds no grades yet")
    out = asked.out or asked.inspection / "results"
    question = graders.Question(
        asked.accept, asked.rule, _edges(asked.axes), asked.host, asked.found
    )
    agreed = agreement.table(grades)
    tables = {"grades": grades, "objects": export.by_object(grades), "agreement": agreed}
    lines = [f"{len(grades)} grades of {grades['number'].nunique()} objects"]
    for line in agreed.to_dict("records"):
        lines.append(f"{line['measure']} kappa of {line['graders']}: " + _kappa(line))
    if (grades["truth"] != "").any():
        rates = graders.rates(grades, question)
        tables["rates"] = rates
        for line in rates[rates["along"] == "all"].to_dict("records"):
            lines.append(f"{line['who']}, {line['rate']}: " + _share(line))
        if grades["truth"].isin(graders.LENSES).any():
            table = graders.completeness(grades, question)
            for ending in tablefile.ENDINGS:
                tablefile.write(table, graders.about(question), out / f"graders{ending}")
            if asked.finder is not None:
                threshold = number_or_name(asked.threshold)
                finder = SelectionFunction.load(asked.finder, threshold)
                people = graders.selection_function(grades, question)
                tables["product"] = graders.along(finder, people)
    for name, table in tables.items():
        export.write(out, name, table)
    for text in (*lines, str(out)):
        print(f"inspect: {text}")
    return 0


def _edges(axes: dict[str, str]) -> dict[str, tuple[float, ...]]:
    try:
        return {name: tuple(map(float, text.split(","))) for name, text in axes.items()}
    except ValueError as error:
        raise InputError(f"axes: {error}; give edges as 0.5,1,1.5") from None


def _kappa(line: Mapping[Any, Any]) -> str:
    if line["status"] != "sufficient":
        return f"insufficient ({line['objects']} objects)"
    return f"{line['kappa']:.2f} ({line['lower']:.2f} to {line['upper']:.2f})"


def _share(line: Mapping[Any, Any]) -> str:
    found = f"{line['k']} of {line['n']}, 95 %: {line['lo95']:.2f} to {line['hi95']:.2f}"
    return found if line["status"] == "sufficient" else f"{found}, insufficient"


command: Verb[None] = Verb(
    name="inspect",
    summary="A page to grade candidates by eye, and what the graders miss.",
    work="classifiers.inspection.verb:work",
)
