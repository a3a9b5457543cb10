"""Prepare a data set for training: join its annotations with the videos that are there, cut, scale, and report.

    python -m dataset.prepare wlasl --annotations WLASL_v0.3.json --videos videos --out data/wlasl_2000 [--subset 100]
    python -m dataset.prepare msasl --annotations MS-ASL --videos videos --out data/msasl_1000 [--classes 100]
    python -m dataset.prepare nmfs --annotations NMFs-CSL --videos frames --out data/nmfs_csl
    python -m dataset.prepare folder --videos recordings --out data/custom [--csv recordings.csv]

Writes clips.zip, clips.csv, vocabulary.json, data.yaml (for configurations: data.file=<out>/data.yaml) and
report.md. The videos, a folder or a zip, are only read. The same command again continues where it was stopped, and
takes in what was added or replaced. Exit code 0, whatever is missing or broken: the report counts it.
"""

import argparse
from pathlib import Path

from dataset.prepare.build import build
from dataset.prepare.cutting import Size
from dataset.prepare.folder import plan_folder
from dataset.prepare.msasl import plan_msasl
from dataset.prepare.nmfs import plan_nmfs
from dataset.prepare.recordings import Plan, SourceFiles
from dataset.prepare.wlasl import SUBSETS, plan_wlasl
from utils.command_line import add_processes
from utils.errors import run_entry_point

SIDE = 256  # pixels, as the published sets are


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m dataset.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sets = parser.add_subparsers(dest="set", required=True, metavar="wlasl|msasl|nmfs|folder")
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
    folder.add_argument("--seed", type=int, default=321, help="of the division into train, dev and test")
    for command in (wlasl, msasl, nmfs, folder):
        command.add_argument("--videos", type=Path, required=True, help="folder or zip of the videos")
        command.add_argument("--out", type=Path, required=True, help="folder of the prepared set")
        add_processes(command)
    arguments = parser.parse_args()
    files = SourceFiles(arguments.videos)
    plan = _plan(arguments, files)
    size = Size(SIDE, keep_shape=arguments.set == "folder")
    report, cut = build(plan, files, arguments.out, size, arguments.processes)
    out = arguments.out.as_posix()
    print(report.summary())
    print(f"\n{cut} clips cut now; {out}/report.md tells all. For a configuration: data.file={out}/data.yaml")
    return 0


def _plan(arguments: argparse.Namespace, files: SourceFiles) -> Plan:
    if arguments.set == "wlasl":
        return plan_wlasl(arguments.annotations, arguments.subset, files)
    if arguments.set == "msasl":
        return plan_msasl(arguments.annotations, arguments.classes, files)
    if arguments.set == "nmfs":
        return plan_nmfs(arguments.annotations, files)
    return plan_folder(files, arguments.csv, arguments.seed)


if __name__ == "__main__":
    run_entry_point(main)
