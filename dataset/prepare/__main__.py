"""Prepare a data set for training: join its annotations with the videos that are there, cut, scale, and report.

    python -m dataset.prepare wlasl --annotations WLASL_v0.3.json --videos videos --out data/wlasl_2000 [--subset 100]
    python -m dataset.prepare msasl --annotations MS-ASL --videos videos --out data/msasl_1000 [--classes 100]
    python -m dataset.prepare nmfs --annotations NMFs-CSL --videos frames --out data/nmfs_csl
    python -m dataset.prepare folder --videos recordings --out data/custom [--csv recordings.csv]

Writes clips.zip, clips.csv, vocabulary.json, data.yaml (for configurations: data.file=<out>/data.yaml) and
report.md. The videos, a folder or a zip, are only read. The same command again continues where it was stopped, and
takes in what was added or replaced. Exit code 0, whatever is missing or broken: the report counts it.

The same for whole sentences, with sentences.csv in place of clips.csv:

    python -m dataset.prepare phoenix2014 --annotations phoenix-2014 --videos phoenix-2014 --out data/phoenix2014
    python -m dataset.prepare phoenix2014t --annotations PHOENIX-2014-T --videos PHOENIX-2014-T --out data/phoenix2014t
    python -m dataset.prepare csl_daily --annotations CSL-Daily --videos CSL-Daily --out data/csl_daily
    python -m dataset.prepare sentences --videos recordings --table recordings.csv --out data/sentences

The first three are folders of images, which stay where they are; no clips.zip is made of them.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dataset.prepare import csl_daily, phoenix
from dataset.prepare.build import build
from dataset.prepare.cutting import Size
from dataset.prepare.folder import plan_folder
from dataset.prepare.image_folders import ImageFolders, index_images
from dataset.prepare.msasl import plan_msasl
from dataset.prepare.nmfs import plan_nmfs
from dataset.prepare.recordings import Plan, SentencePlan, SourceFiles
from dataset.prepare.sentences import plan_sentences
from dataset.prepare.wlasl import SUBSETS, plan_wlasl
from utils.command_line import add_processes
from utils.errors import run_entry_point

SIDE = 256  # pixels, as the published sets of single signs are


class ImageSet(NamedTuple):
    """Sentences as folders of images. tables, images: where the owners keep those."""

    title: str
    plan: Callable[[Path, ImageFolders], SentencePlan]
    tables: str
    images: tuple[str, ...]


IMAGE_SETS = {
    "phoenix2014": ImageSet(
        "RWTH-PHOENIX-Weather 2014, multi-signer", phoenix.plan_phoenix2014, phoenix.TABLES, phoenix.IMAGES
    ),
    "phoenix2014t": ImageSet(
        "RWTH-PHOENIX-Weather 2014T", phoenix.plan_phoenix2014t, phoenix.TABLES, phoenix.IMAGES
    ),
    "csl_daily": ImageSet("CSL-Daily", csl_daily.plan_csl_daily, csl_daily.TABLES, csl_daily.IMAGES),
}


def main() -> int:
    arguments = _parser().parse_args()
    out = arguments.out.as_posix()
    if arguments.set in IMAGE_SETS:
        chosen = IMAGE_SETS[arguments.set]
        folders = ImageFolders(arguments.videos, chosen.images)
        report = index_images(chosen.plan(arguments.annotations, folders), folders, arguments.out)
        done = f"the images stay in {arguments.videos.as_posix()}"
    else:
        files = SourceFiles(arguments.videos)
        size = Size(SIDE, keep_shape=arguments.set in ("folder", "sentences"))
        report, cut = build(_plan(arguments, files), files, arguments.out, size, arguments.processes)
        done = f"{cut} clips cut now"
    print(report.summary())
    print(f"\n{done}; {out}/report.md tells all. For a configuration: data.file={out}/data.yaml")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dataset.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ["wlasl", "msasl", "nmfs", "folder", *IMAGE_SETS, "sentences"]
    sets = parser.add_subparsers(dest="set", required=True, metavar="|".join(names))
    wlasl = sets.add_parser("wlasl", help="WLASL-2000, 1000, 300 or 100")
    wlasl.add_argument(
        "--annotations", type=Path, required=True, help="WLASL_v0.3.json, nslt_<N>.json beside it"
    )
    wlasl.add_argument("--subset", type=int, choices=SUBSETS, default=2000, help="how many glosses")
    msasl = sets.add_parser("msasl", help="MS-ASL")
    msasl.add_argument(
        "--annotations", type=Path, required=True, help="folder of MSASL_train.json and the others"
    )
    msasl.add_argument("--classes", type=int, default=1000, help="the first so many glosses")
    nmfs = sets.add_parser("nmfs", help="NMFs-CSL")
    nmfs.add_argument(
        "--annotations", type=Path, required=True, help="folder of gloss.csv, train.csv, test.csv"
    )
    folder = sets.add_parser("folder", help="own recordings: <gloss>/<video> or <gloss>/<signer>/<video>")
    folder.add_argument(
        "--csv", type=Path, help="video,gloss[,signer,split,start_frame,end_frame] instead of folders"
    )
    for name, images in IMAGE_SETS.items():
        command = sets.add_parser(name, help=images.title)
        where = f"the owners' folder, or one with what they have in {images.tables}"
        command.add_argument("--annotations", type=Path, required=True, help=where)
        where = f"the owners' folder or a zip of it, or one with what they have in {images.images[0]}"
        command.add_argument("--videos", type=Path, required=True, help=where)
    sentences = sets.add_parser("sentences", help="own recordings of sentences, with a table")
    sentences.add_argument(
        "--table", type=Path, required=True, help="video,glosses[,text,signer,split,start_frame,end_frame]"
    )
    for command in (folder, sentences):
        command.add_argument("--seed", type=int, default=321, help="of the division into train, dev and test")
    for command in (wlasl, msasl, nmfs, folder, sentences):
        command.add_argument("--videos", type=Path, required=True, help="folder or zip of the videos")
        add_processes(command)
    for command in sets.choices.values():
        command.add_argument("--out", type=Path, required=True, help="folder of the prepared set")
    return parser


def _plan(arguments: argparse.Namespace, files: SourceFiles) -> Plan:
    if arguments.set == "wlasl":
        return plan_wlasl(arguments.annotations, arguments.subset, files)
    if arguments.set == "msasl":
        return plan_msasl(arguments.annotations, arguments.classes, files)
    if arguments.set == "nmfs":
        return plan_nmfs(arguments.annotations, files)
    if arguments.set == "sentences":
        return plan_sentences(files, arguments.table, arguments.seed, SIDE)
    return plan_folder(files, arguments.csv, arguments.seed)


if __name__ == "__main__":
    run_entry_point(main)
