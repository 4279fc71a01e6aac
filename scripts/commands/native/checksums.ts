/**
 * What `deno task native` may load, by SHA-256: a registry or a mirror that serves anything else is refused.
 *
 * @module
 */

/** TensorFlow's wheels for Linux, as published on PyPI. */
export const wheels: Readonly<Record<string, string>> = {
  "tensorflow-2.19.1-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "9077404d1928ee58bfb82ea1b0fce25353420338c259742227c27c4e00377f4b",
  "tensorflow-2.19.1-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "11377d4cecdc665515e370524b650a8ceb80b461f40f5e63993ed27d0ef931da",
  "tensorflow-2.19.1-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "22deedc251837f2382d2b287c705705cb089bfaf79b2274b78c08740e02bf188",
  "tensorflow-2.19.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "8e5524eb492160576e5eeea9bb472ddc653123503f2290f83123d5ac9545750e",
  "tensorflow-2.19.1-cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "4c0e78b6100545fd90934c557f1ce802e6a9a7fdb031025efc298efb4aa2e3bb",
  "tensorflow-2.19.1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "35a6950f3fee0ad2d1668241d31684676f2e6eceb613cbeef960ea22014ef8fb",
  "tensorflow-2.19.1-cp39-cp39-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "938fb49b3299a77ccdaa26c0824dfcca3002b260c7bc994cb129d4ec12f31619",
  "tensorflow-2.19.1-cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "7a66b66fcc3eee0cc4d6c405cb5918972afeeb148684e174693d5d0449c3fdaf",
  "tensorflow-2.20.0-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "02a0293d94f5c8b7125b66abf622cc4854a33ae9d618a0d41309f95e091bbaea",
  "tensorflow-2.20.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "7abd7f3a010e0d354dc804182372779a722d474c4d8a3db8f4a3f5baef2a591e",
  "tensorflow-2.20.0-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "3e9568c8efcb05c0266be223e3269c62ebf7ad3498f156438311735f6fa5ced5",
  "tensorflow-2.20.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "481499fd0f824583de8945be61d5e827898cdaa4f5ea1bc2cc28ca2ccff8229e",
  "tensorflow-2.20.0-cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "2bfbfb3dd0e22bffc45fe1e922390d27753e99261fab8a882e802cf98a0e078f",
  "tensorflow-2.20.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "25265b0bc527e0d54b1e9cc60c44a24f44a809fe27666b905f0466471f9c52ec",
  "tensorflow-2.20.0-cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "47c88e05a07f1ead4977b4894b3ecd4d8075c40191065afc4fd9355c9db3d926",
  "tensorflow-2.20.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "5fa3729b0126f75a99882b89fb7d536515721eda8014a63e259e780ba0a37372",
  "tensorflow-2.20.0-cp39-cp39-manylinux_2_17_aarch64.manylinux2014_aarch64.whl":
    "28bc33759249c98eabcee9debd24e74506bbe29ac139e050cf0c74aa9888ebdf",
  "tensorflow-2.20.0-cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "0deb5c583dfc53b54fd158a194ce0087b406bb6518af400ca3809735e4548ec3",
  "tensorflow-2.21.0-cp310-cp310-manylinux_2_27_aarch64.whl":
    "7c97938b25cf70c80ae8619931f85abcdee2ab2eb256c2051202edb3b89e9a5d",
  "tensorflow-2.21.0-cp310-cp310-manylinux_2_27_x86_64.whl":
    "77c6f298e695ea1d283cdd7d30f8d97530cc6e92c1395a9ddbab9771c99233a4",
  "tensorflow-2.21.0-cp311-cp311-manylinux_2_27_aarch64.whl":
    "4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c",
  "tensorflow-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl":
    "9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124",
  "tensorflow-2.21.0-cp312-cp312-manylinux_2_27_aarch64.whl":
    "b07d15737406533898e36c7ef7944b1be18e9028dc521b9229952c537bbc5552",
  "tensorflow-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl":
    "b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0",
  "tensorflow-2.21.0-cp313-cp313-manylinux_2_27_aarch64.whl":
    "a10abdfb8b1189210c251021a3f153b7ccc52a8e6521351f3dc3331e8ba593e0",
  "tensorflow-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl":
    "e9d8da8dcab9650efb45f032ba70af2f016f907e6e0c6bda29dd101bba945406",
  "tensorflow_cpu-2.19.1-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "8ae7209194aebf879cb4d0504f39e5cde04896ddbdef4acde3fd0b408ac88bea",
  "tensorflow_cpu-2.19.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "0b6d72bd09c267e7573757bd309f5b1e2cdb02577339991da751f3a1411e4dae",
  "tensorflow_cpu-2.19.1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "2cb4b20fa86b04c166db1616fd466d09ec850cc3b47607cf12225469e750c476",
  "tensorflow_cpu-2.19.1-cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "ba48a68e0bbcb88e7c87ad81699608d7ca436cc29e28b4edc600ea6ef8f916ae",
  "tensorflow_cpu-2.20.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "1a3ef238410543ee884b64d222775727504407395785d3719a9ee8d016d1c583",
  "tensorflow_cpu-2.20.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "cf756bbe2d256e942ab5d0ad2c858fb40017581494febdb4387c149b1afde780",
  "tensorflow_cpu-2.20.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "c7a9224185818094ed95c4e114d3efe77241db35fbf0b75251fb2bf6222dd6a7",
  "tensorflow_cpu-2.20.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "da6e7791e5e10ec84e6225c45e04fee05f33d7b828c9b61cc905f4146f7c64b5",
  "tensorflow_cpu-2.20.0-cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64.whl":
    "90cf8009bdf60297c23e098b574e053faa5d7872857df110fe13fc58cfa8b5db",
  "tensorflow_cpu-2.21.0-cp310-cp310-manylinux_2_27_x86_64.whl":
    "d143e92f5c0661cdfa26eaca8f73cd2efd0ec53a68af8dec82f584ba8eb14b83",
  "tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl":
    "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c",
  "tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl":
    "dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb",
  "tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl":
    "05af7c26d35f4de910b5598c7b507e3981831a7b0f47fed9a405d995d51d7793",
};

/** The C library's archives on storage.googleapis.com, as other projects' build files have pinned them since 2022. */
export const libraryArchives: Readonly<Record<string, string>> = {
  "libtensorflow-cpu-linux-x86_64-2.9.1.tar.gz": "7f510d2546e3db5e10b1d119463689003d587842892ad3c95bca51cf82820173",
  "libtensorflow-gpu-linux-x86_64-2.9.1.tar.gz": "20c46f761d5905f592c4eac0812e8e50d9cb439f9440a9391912cf4c02ed8be8",
  "libtensorflow-cpu-darwin-x86_64-2.9.1.tar.gz": "56f83d3320ba0f69aaafd6c058645e1b7fbc75fb9a3fc36d6be98de1291ca226",
};
