"""The other side: the official AWS Encryption SDK for Python, and Cobblestone of `cryptography`.

Reads one request in JSON per line, answers with one line. Bytes go through files; keys are test keys.
"""

import json
import logging
import sys
from pathlib import Path

import aws_encryption_sdk
import boto3
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    AesWrappingAlg,
    CreateAwsKmsKeyringInput,
    CreateAwsKmsMrkKeyringInput,
    CreateMultiKeyringInput,
    CreateRawAesKeyringInput,
)
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor

logging.disable(logging.CRITICAL)  # it prints what it refuses, which the answer says already

SUITES = {
    "0x0478": AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    "0x0578": AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
}

providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


def keyring_of(key):
    """A key is the ARN of one in KMS, or namespace, name and bytes of a raw one."""
    if isinstance(key, str):
        client = boto3.client("kms", region_name=key.split(":")[3])
        if ":key/mrk-" in key:
            return providers.create_aws_kms_mrk_keyring(CreateAwsKmsMrkKeyringInput(kms_key_id=key, kms_client=client))
        return providers.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=key, kms_client=client))
    namespace, name, key = key
    return providers.create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace=namespace,
            key_name=name,
            wrapping_key=bytes.fromhex(key),
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )


def keyring(keys):
    each = [keyring_of(key) for key in keys]
    if len(each) == 1:
        return each[0]
    return providers.create_multi_keyring(CreateMultiKeyringInput(generator=each[0], child_keyrings=each[1:]))


def seal(request, source):
    sealed, _ = client.encrypt(
        source=source,
        keyring=keyring(request["keys"]),
        encryption_context=request["context"],
        algorithm=SUITES[request["suite"]],
        frame_length=request["frame_length"],
    )
    return sealed, {}


def open_(request, source):
    plaintext, header = client.decrypt(source=source, keyring=keyring(request["keys"]))
    return plaintext, {"context": dict(header.encryption_context)}


def cobblestone(kind):
    def run(request, source):
        machine = kind(bytes.fromhex(request["key"]), bytes.fromhex(request["context"]))
        return machine.update(source) + machine.finalize(), {}

    return run


VERBS = {
    "seal": seal,
    "open": open_,
    "cobblestone_seal": cobblestone(Cobblestone256Encryptor),
    "cobblestone_open": cobblestone(Cobblestone256Decryptor),
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        out, answer = VERBS[request["do"]](request, Path(request["in"]).read_bytes())
        Path(request["out"]).write_bytes(out)
    except Exception as error:  # the test decides whether a refusal was right
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
