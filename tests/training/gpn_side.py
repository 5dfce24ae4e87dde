"""The side of gpn 0.9.0, run by its own Python: `gpn_side.py DIR`.

Loads DIR/exported, makes DIR/reference, and leaves what it saw in DIR/seen.safetensors.
"""

import sys
from pathlib import Path

import torch
from gpn import register_auto_classes
from gpn.ss.model import GPNConfig, GPNForMaskedLM
from safetensors.torch import save_file
from transformers import AutoModelForMaskedLM, AutoTokenizer

BYTENET = {
    "encoder": "bytenet",
    "embedding": "embedding",
    "slim": True,
    "mlm_head_transform": False,
}


def main() -> None:
    directory = Path(sys.argv[1])
    register_auto_classes("ss")
    sequences = (directory / "sequences.txt").read_text().split()
    tokenizer = AutoTokenizer.from_pretrained(directory / "exported")
    tokens = tokenizer(sequences, return_attention_mask=False, return_tensors="pt").input_ids
    seen = {"tokens": tokens}

    torch.manual_seed(0)
    config = GPNConfig(**BYTENET, hidden_size=24, num_hidden_layers=10, dilation_cycle=4)
    reference = GPNForMaskedLM(config)
    with torch.no_grad():
        # Fresh norms are all ones, and could be taken for one another.
        for parameter in reference.parameters():
            parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
    reference.save_pretrained(directory / "reference")
    exported = AutoModelForMaskedLM.from_pretrained(directory / "exported")
    for name, model in (("reference", reference), ("exported", exported)):
        model.eval()
        with torch.no_grad():
            seen[name] = model(input_ids=tokens).logits

    fresh = GPNForMaskedLM(GPNConfig(**BYTENET, hidden_size=256, num_hidden_layers=2))
    seen |= {f"fresh.{name}": tensor.clone() for name, tensor in fresh.state_dict().items()}
    with torch.device("meta"):
        full = GPNForMaskedLM(GPNConfig(**BYTENET, hidden_size=1024, num_hidden_layers=64))
    seen["parameters"] = torch.tensor(sum(p.numel() for p in full.parameters()))
    save_file(seen, directory / "seen.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
