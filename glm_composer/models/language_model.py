"""Embedding -> encoder -> norm -> decoder: what every genomic language model here is made of."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from glm_composer import sequence
from glm_composer.errors import UserError
from glm_composer.models.cone import narrowings
from glm_composer.models.packing import Packing
from glm_composer.models.places import Places
from glm_composer.models.tokens import CHANNELS, Tokens, states

INIT_STD = 0.02


class Layers(nn.ModuleList):
    """Layers one after the other, each of them called with the hidden states and the packing.

    An encoder that is one of these takes windows of several lengths. Where not all of its output
    is wanted, the last layers are computed in part if they say how: one with `taps`, where its
    convolution reads, is also called with a `Narrowing`, one that `narrows` with `Places`. A first
    layer that `reads_tokens` is called with `Tokens` instead of the embedding's hidden states.
    """

    def forward(self, x: Tensor | Tokens, packing: Packing | None = None) -> Tensor:
        """[batch, length, width], or [total, width] with a packing -> the same shape."""
        for layer in self:
            x = layer(x, packing)
        return states(x)

    def at(self, x: Tensor | Tokens, position: int) -> Tensor:
        """[batch, length, width] -> the output at one position, [batch, width].

        The last layers, as far as they say where their `taps` fall, are computed only where it
        depends on them; one that does not say, as `among` computes it.
        """
        layers = list(self)
        held = x.ids if isinstance(x, Tokens) else x
        count, length = held.shape[:2]
        if layers and not hasattr(layers[-1], "taps"):
            index = torch.arange(count, device=held.device) * length + position
            return self.among(x, Places(index, length))[0]
        first = len(layers)
        while first and hasattr(layers[first - 1], "taps"):
            first -= 1
        for layer in layers[:first]:
            x = layer(x, None)
        start, *plan = narrowings([each.taps for each in layers[first:]], length, position)
        if start:
            x = x.some(start.take) if isinstance(x, Tokens) else start.take(x)
        for layer, narrowing in zip(layers[first:], plan, strict=True):
            x = layer(x, None, narrowing)
        return states(x)[:, 0]

    def among(self, x: Tensor | Tokens, places: Places) -> Tensor:
        """[batch, length, width] -> the output at some places, [1, places, width].

        The last layer, if it `narrows`, is computed there alone as far as it can be.
        """
        if not self._narrows():
            return places.take(self(x))
        *layers, last = self
        for layer in layers:
            x = layer(x, None)
        return last(x, None, places)

    @property
    def reads_tokens(self) -> bool:
        """Whether the first layer does, and no forward pass of somebody else's comes before it."""
        own = type(self).forward is Layers.forward
        return own and len(self) > 0 and getattr(self[0], "reads_tokens", False)

    def tabled(self) -> Iterator[nn.Module]:
        """The modules that are computed of tokens instead of hidden states."""
        if self.reads_tokens:
            first: Any = self[0]
            yield from first.tabled()

    def narrowed(self) -> Iterator[nn.Module]:
        """The modules that `among` computes at its places alone."""
        if self._narrows():
            last: Any = self[-1]
            yield from last.narrowed()

    def _narrows(self) -> bool:
        return len(self) > 0 and getattr(self[-1], "narrows", False)


class LanguageModel(nn.Module):
    """Per-base logits over the seven tokens from an encoder of hidden states.

    Args:
        width: size of the hidden states.
        encoder: maps [batch, length, width] to the same shape.
        norm: final normalisation over the last axis.
        causal: whether no position of the encoder's output depends on later positions.
    """

    def __init__(self, width: int, encoder: nn.Module, norm: nn.Module, causal: bool = False):
        super().__init__()
        self.width = width
        self.causal = causal
        self.embedding = nn.Embedding(sequence.VOCAB_SIZE, width, padding_idx=sequence.PAD)
        self.encoder = encoder
        self.norm = norm
        self.decoder = nn.Linear(width, sequence.VOCAB_SIZE, bias=False)

    def embed(
        self,
        ids: Tensor,
        lengths: Tensor | None = None,
        position: int | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states of windows.

        Args:
            ids: [batch, length] of any integer type; windows of several lengths are padded at
                their ends with [PAD].
            lengths: [batch] of any integer type, how much of each window is real; None where all
                of all are, which is the fast path. No window sees another's positions, nor
                padding: its hidden states are those it has alone.
            position: the only one that is wanted, 0-based, the same in all windows; what it does
                not depend on is not computed where the encoder knows.
            places: int64 [places], the only ones that are wanted among the batch x length; what
                the last layer has elsewhere is not computed where the encoder knows.

        Returns:
            [batch, length, width], zeros at padding; [batch, width] of one position;
            [places, width] of places

        Raises:
            UserError: a length is out of range, or the encoder takes windows of one length only.
        """
        if position is not None:
            return self._embed_at(ids, lengths, position)
        if places is not None:
            return self._embed_among(ids, lengths, Places(places, ids.shape[1]))
        if lengths is None:
            return self.norm(self.encoder(self._begin(ids)))
        if not isinstance(self.encoder, Layers):
            raise UserError(
                f"this model's encoder ({type(self.encoder).__name__}) takes windows of one "
                "length only; give data.window a length that all windows have, or build the "
                "encoder of glm_composer.models.language_model.Layers"
            )
        packing = Packing.of(lengths, ids.shape[1])
        x = self._begin(packing.unpad(ids))
        return packing.pad(self.norm(self.encoder(x, packing)))

    def _begin(self, ids: Tensor) -> Tensor | Tokens:
        """What the encoder begins with, of tokens of any shape."""
        if not self._reads_tokens():
            return self.embedding(ids.int())
        every = torch.arange(self.embedding.num_embeddings, device=ids.device)
        return Tokens(ids, self.embedding(every))

    def _reads_tokens(self) -> bool:
        """Whether the encoder begins with tokens; not with an embedding of somebody else's."""
        encoder, embedding = self._layers(), self.embedding
        if encoder is None or type(embedding) is not nn.Embedding:
            return False
        return encoder.reads_tokens and embedding.num_embeddings <= CHANNELS

    def _embed_at(self, ids: Tensor, lengths: Tensor | None, position: int) -> Tensor:
        encoder = self._layers()
        if lengths is not None or encoder is None:
            return self.embed(ids, lengths)[:, position]
        return self.norm(encoder.at(self._begin(ids), position))

    def _embed_among(self, ids: Tensor, lengths: Tensor | None, places: Places) -> Tensor:
        encoder = self._layers()
        if lengths is not None or encoder is None:
            return places.take(self.embed(ids, lengths))[0]
        return self.norm(encoder.among(self._begin(ids), places))[0]

    def narrowed(self) -> Iterator[nn.Module]:
        """The modules that are computed at given places alone."""
        encoder = self._layers()
        if encoder is not None:
            yield from (self.norm, self.decoder, *encoder.narrowed())

    def tabled(self) -> Iterator[nn.Module]:
        """The modules that are computed once a token, or of one-hot tokens."""
        encoder = self._layers()
        if encoder is not None and self._reads_tokens():
            yield from encoder.tabled()

    def _layers(self) -> Layers | None:
        """The encoder, if nothing but its layers is called; one with a forward pass of its own
        is always computed whole."""
        encoder = self.encoder
        if isinstance(encoder, Layers) and type(encoder).forward is Layers.forward:
            return encoder
        return None

    def forward(self, ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits [batch, length, 7] of what `embed` takes, zeros at padding."""
        return self.decoder(self.embed(ids, lengths))


def initialise(model: nn.Module, scale: Callable[[str], float] = lambda name: 1.0) -> None:
    """Draw Linear and Embedding weights from N(0, 0.02 x scale(name)), the PAD row zero.

    Convolutions keep PyTorch's default, as in GPN.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=INIT_STD * scale(name))
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
