"""Other compressors on the bytes of images: `python compressors.py DATA.npz|IDX.gz [--bits]`, in bits per dimension.

gzip, bz2 and xz have all test images as one stream, PNG and WebP each image in a file of its own. With --bits, images of 0 and 1 are packed
into bits for the first three, as in Townsend et al. 2019. Needs numpy and Pillow; PNG files are optimised by optipng, if it is there.
"""

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image


def test_images(path):
    if path.endswith(".npz"):
        arrays = np.load(path)
        return arrays["test" if "test" in arrays else "x_test"]
    data = gzip.open(path).read()
    count, height, width = (int.from_bytes(data[4 * i : 4 * i + 4], "big") for i in (1, 2, 3))
    return np.frombuffer(data[16:], np.uint8).reshape(count, height, width)


def png(images, bits):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, image in enumerate(images):
            picture = Image.fromarray(image)
            path = Path(folder) / f"{index}.png"
            (picture.convert("1") if bits else picture).save(path, compress_level=9)
            paths.append(path)
        if shutil.which("optipng"):
            for start in range(0, len(paths), 500):
                subprocess.run(["optipng", "-quiet", "-o2", *paths[start : start + 500]], check=True)
        return sum(path.stat().st_size for path in paths)


def webp(images):
    total = 0
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).convert("RGB").save(buffer, "webp", lossless=True, quality=100, method=6)
        total += buffer.tell()
    return total


def main():
    images = test_images(sys.argv[1])
    bits = "--bits" in sys.argv
    if bits:
        images = images.reshape(images.shape[0], 28, -1) > 0
        stream, images = np.packbits(images).tobytes(), images.astype(np.uint8) * 255
    else:
        stream = images.tobytes()
    sizes = {
        "gzip": len(gzip.compress(stream)),
        "bz2": len(bz2.compress(stream)),
        "xz": len(lzma.compress(stream)),
        "PNG": png(images, bits),
        "WebP": webp(images),
    }
    for name, size in sizes.items():
        print(f"{name:5} {8 * size / images.size:7.4f}")


main()
