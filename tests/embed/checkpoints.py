"""Tiny checkpoints with random weights, one per family, as a family's own classes save them: nothing is downloaded."""

import io
import string

TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = TINY | {"image_size": 32, "patch_size": 8}
WINDOW = 16
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
RATE = 16_000  # of the recordings, in Hz


def byte_tokenizer(window=WINDOW):
    """CLIP's tokenizer without merges: a token per byte, start and end."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=window)


def roberta_tokenizer(**settings):
    """RoBERTa's tokenizer without merges: a token per byte, start and end; it sets no window by itself."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer

    tokens = [*SPECIAL, *sorted(ByteLevel.alphabet())]
    return RobertaTokenizer(
        vocab={token: number for number, token in enumerate(tokens)}, merges=[], **settings
    )


def bert_tokenizer(kind="BertTokenizer", window=WINDOW):
    """A WordPiece tokenizer whose pieces are letters."""
    import transformers

    letters = string.ascii_lowercase + string.digits + ",.!?鞋狗"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    if kind == "MPNetTokenizer":
        special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    tokens = [*special, *letters, *("##" + letter for letter in letters)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return getattr(transformers, kind)(vocab=vocabulary, model_max_length=window)


def unigram_tokenizer(window=WINDOW):
    """XLM-RoBERTa's tokenizer whose pieces are letters."""
    from transformers import XLMRobertaTokenizer

    letters = ["▁", *string.ascii_letters, *string.digits]
    return XLMRobertaTokenizer(
        vocab=[(token, 0.0) for token in SPECIAL] + [(letter, -2.0) for letter in letters],
        model_max_length=window,
    )


def sentencepiece_tokenizer(folder):
    """SigLIP's own tokenizer: lower case, no punctuation."""
    import sentencepiece
    from transformers import SiglipTokenizer

    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([string.ascii_lowercase + " red shoe dog text"] * 4),
        model_writer=trained,
        vocab_size=60,
        model_type="bpe",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(trained.getvalue())
    return SiglipTokenizer(str(folder / "spiece.model"), model_max_length=WINDOW)


def letters_tokenizer(kind):
    """A tokenizer of this class (Gemma's kind) with a token per letter."""
    import transformers

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_lowercase, *string.digits]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return getattr(transformers, kind)(vocab=vocabulary, merges=[], model_max_length=WINDOW)


def text_config(tokenizer, **fields):
    known = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    known = {name: number for name, number in known.items() if number is not None}
    return TINY | {"vocab_size": len(tokenizer), "max_position_embeddings": WINDOW} | known | fields


def write(folder, network, *parts):
    """Save a network whose random weights are large enough for other inputs to make other vectors."""
    import torch

    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.normal_(0, weight[0].numel() ** -0.5)
            elif not weight.any():  # biases: none can be forgotten unseen
                weight.normal_(0, 0.02)
    network.save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)
    return folder


def square(kind, **settings):
    """An image processor of this class for 32 x 32 pixels."""
    import transformers

    return getattr(transformers, kind)(size={"height": 32, "width": 32}, **settings)


def cropped(kind="CLIPImageProcessorPil"):
    import transformers

    return getattr(transformers, kind)(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def clip(folder):
    """A CLIP as save_pretrained leaves it, with a byte-level tokenizer that knows every text."""
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor

    tokenizer = byte_tokenizer()
    config = CLIPConfig(text_config=text_config(tokenizer), vision_config=VISION, projection_dim=24)
    processor = CLIPProcessor(image_processor=cropped(), tokenizer=tokenizer)
    return write(folder, CLIPModel(config), processor)


def old_clip(folder):
    """A CLIP whose config calls the end token 2, as OpenAI's did: it pools at the highest token."""
    from transformers import CLIPConfig, CLIPModel

    tokenizer = byte_tokenizer()
    text = text_config(tokenizer, eos_token_id=2)
    config = CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    return write(folder, CLIPModel(config), tokenizer, cropped())


def metaclip2(folder):
    from transformers import MetaClip2Config, MetaClip2Model

    tokenizer = unigram_tokenizer()
    config = MetaClip2Config(text_config=text_config(tokenizer), vision_config=VISION, projection_dim=24)
    return write(folder, MetaClip2Model(config), tokenizer, cropped())


def siglip(folder):
    """A SigLIP, which sees every text padded to its whole window."""
    from transformers import SiglipConfig, SiglipModel

    folder.mkdir()
    tokenizer = sentencepiece_tokenizer(folder)
    text = text_config(tokenizer, projection_size=32)
    network = SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))
    return write(folder, network, tokenizer, square("SiglipImageProcessorPil"))


def siglip2(folder):
    """A SigLIP 2 of the NaFlex kind, which takes images in their own shape as patches."""
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model

    tokenizer = letters_tokenizer("Siglip2Tokenizer")
    text = text_config(tokenizer, projection_size=32)
    vision = TINY | {"patch_size": 8, "num_patches": 16}
    network = Siglip2Model(Siglip2Config(text_config=text, vision_config=vision))
    return write(folder, network, tokenizer, Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16))


def altclip(folder):
    """An AltCLIP, whose text tower begins to count positions behind the padding token."""
    from transformers import AltCLIPConfig, AltCLIPModel

    tokenizer = unigram_tokenizer(window=None)
    text = text_config(tokenizer, max_position_embeddings=WINDOW + 2, project_dim=32)
    config = AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    return write(folder, AltCLIPModel(config), tokenizer, cropped())


def chinese_clip(folder):
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    tokenizer = bert_tokenizer()
    config = ChineseCLIPConfig(text_config=text_config(tokenizer), vision_config=VISION, projection_dim=24)
    processor = square("ChineseCLIPImageProcessorPil", do_center_crop=False)
    return write(folder, ChineseCLIPModel(config), tokenizer, processor)


def align(folder):
    """An ALIGN: BERT beside an EfficientNet of two blocks."""
    from transformers import AlignConfig, AlignModel

    tokenizer = bert_tokenizer(window=512)
    vision = {
        "image_size": 32,
        "hidden_dim": 32,
        "kernel_sizes": [3, 3],
        "in_channels": [32, 8],
        "out_channels": [8, 32],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 2],
        "num_hidden_layers": 2,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "depthwise_padding": [],
    }
    text = text_config(tokenizer, max_position_embeddings=80)
    config = AlignConfig(text_config=text, vision_config=vision, projection_dim=32)
    return write(folder, AlignModel(config), tokenizer, square("EfficientNetImageProcessorPil"))


def blip(folder):
    from transformers import BlipConfig, BlipForImageTextRetrieval

    tokenizer = bert_tokenizer()
    text = text_config(tokenizer, encoder_hidden_size=32)
    config = BlipConfig(text_config=text, vision_config=VISION, image_text_hidden_size=24)
    return write(folder, BlipForImageTextRetrieval(config), tokenizer, square("BlipImageProcessorPil"))


def blip2(folder):
    from transformers import Blip2Config, Blip2ForImageTextRetrieval

    tokenizer = bert_tokenizer()
    qformer = text_config(tokenizer, encoder_hidden_size=32, use_qformer_text_input=True)
    config = Blip2Config(
        vision_config=VISION, qformer_config=qformer, num_query_tokens=3, image_text_hidden_size=24
    )
    return write(folder, Blip2ForImageTextRetrieval(config), tokenizer, square("BlipImageProcessorPil"))


def bert(folder):
    """A text encoder that says nothing about pooling."""
    from transformers import BertConfig, BertModel

    tokenizer = bert_tokenizer()
    return write(folder, BertModel(BertConfig(**text_config(tokenizer))), tokenizer)


def sentences(folder, tokenizer, network, pooling, query=""):
    """A sentence-transformers folder, with the prompt for queries if there is one."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    plain = write(folder.with_name(f"{folder.name}-plain"), network, tokenizer)
    modules = [Transformer(str(plain)), Pooling(32, pooling), Normalize()]
    SentenceTransformer(modules=modules, prompts={"query": query}, device="cpu").save(str(folder))
    return folder


def mpnet(folder):
    """all-mpnet-base-v2 in small: mean pooling."""
    from transformers import MPNetConfig, MPNetModel

    tokenizer = bert_tokenizer("MPNetTokenizer")
    network = MPNetModel(MPNetConfig(**text_config(tokenizer, max_position_embeddings=WINDOW + 2)))
    return sentences(folder, tokenizer, network, "mean")


def bge(folder):
    """BGE in small: the first token, and a prompt for queries."""
    from transformers import BertConfig, BertModel

    tokenizer = bert_tokenizer()
    return sentences(folder, tokenizer, BertModel(BertConfig(**text_config(tokenizer))), "cls", "find: ")


def clip_sentences(folder):
    """A CLIP as sentence-transformers saves it."""
    from sentence_transformers import SentenceTransformer

    plain = clip(folder.with_name(f"{folder.name}-plain"))
    SentenceTransformer(str(plain), device="cpu").save(str(folder))
    return folder


CHAT = (
    "{% for message in messages %}<user>{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}</user>{% endfor %}"
)
VLM_WINDOW = 64  # 16 to 24 tokens of an image among them


def vlm(folder):
    """A LLaVA-NeXT in small that embeds: its last token, a prompt for queries, tiles by an image's shape."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        LlavaNextConfig,
        LlavaNextImageProcessorPil,
        LlavaNextModel,
        LlavaNextProcessor,
        Qwen2Tokenizer,
    )

    marks = ["<image>", "<user>", "</user>"]
    tokens = ["<pad>", *sorted(ByteLevel.alphabet()), *marks]
    tokenizer = Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=[],
        additional_special_tokens=marks,
        model_max_length=VLM_WINDOW,
        **dict.fromkeys(("pad_token", "eos_token", "unk_token"), "<pad>"),
    )
    tiles = [[16, 32], [32, 16], [32, 32]]
    text = text_config(tokenizer, model_type="qwen2", num_key_value_heads=1, max_position_embeddings=128)
    vision = TINY | {"model_type": "clip_vision_model", "image_size": 16, "patch_size": 8}
    config = LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=tiles,
    )
    size = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(image_grid_pinpoints=tiles, **size),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    plain = write(folder.with_name(f"{folder.name}-plain"), LlavaNextModel(config), processor)
    modules = [Transformer(str(plain)), Pooling(32, "lasttoken"), Normalize()]
    prompts = {"query": "find", "document": "show"}
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder))
    return folder


def vit(folder):
    from transformers import ViTConfig, ViTModel

    return write(folder, ViTModel(ViTConfig(**VISION)), square("ViTImageProcessorPil"))


def dinov2(folder):
    from transformers import Dinov2Config, Dinov2Model

    network = Dinov2Model(Dinov2Config(**VISION, layerscale_value=0.5))
    return write(folder, network, cropped("BitImageProcessorPil"))


def clap(folder):
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    tokenizer = roberta_tokenizer()
    audio = {
        "spec_size": 64,
        "num_mel_bins": 16,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "window_size": 4,
        "hidden_size": 32,
        "depths": [1, 1],
        "num_hidden_layers": 2,
        "num_attention_heads": [2, 2],
        "patch_embeds_hidden_size": 16,
        "projection_dim": 24,
    }
    text = text_config(tokenizer, max_position_embeddings=WINDOW + 2, projection_dim=24)
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    extractor = ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=RATE,
        hop_length=160,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=RATE // 2,
        truncation="rand_trunc",
    )
    return write(folder, ClapModel(config), tokenizer, extractor)


def pe_audio(folder):
    from transformers import PeAudioConfig, PeAudioFeatureExtractor, PeAudioModel

    tokenizer = bert_tokenizer()
    text = text_config(tokenizer, model_type="modernbert", cls_token_id=2, sep_token_id=3)
    coder = {
        "model_type": "dac",
        "encoder_hidden_size": 4,
        "downsampling_ratios": [4, 8],
        "codebook_dim": 8,
        "decoder_hidden_size": 8,
        "upsampling_ratios": [8, 4],
        "n_codebooks": 1,
        "codebook_size": 8,
    }
    audio = TINY | {"num_key_value_heads": 2, "head_dim": 16, "dac_config": coder}
    extractor = PeAudioFeatureExtractor(hop_length=32, sampling_rate=RATE)
    network = PeAudioModel(PeAudioConfig(text_config=text, audio_config=audio))
    return write(folder, network, tokenizer, extractor)


def xclip(folder):
    from transformers import VideoMAEImageProcessorPil, XCLIPConfig, XCLIPModel

    tokenizer = byte_tokenizer()
    vision = VISION | {
        "num_frames": 3,
        "mit_hidden_size": 24,
        "mit_intermediate_size": 48,
        "mit_num_attention_heads": 2,
    }
    config = XCLIPConfig(
        text_config=text_config(tokenizer),
        vision_config=vision,
        projection_dim=24,
        prompt_num_attention_heads=2,
    )
    processor = VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return write(folder, XCLIPModel(config), tokenizer, processor)


def guide_pair(folder):
    """A text encoder (MPNet) and a CLIP in small, as folders for the parameter `models`."""
    import torch

    torch.manual_seed(7)
    return [str(mpnet(folder / "tiny-mpnet")), str(clip(folder / "tiny-clip"))]


FAMILIES = {
    family.__name__: family
    for family in (
        *(clip, old_clip, metaclip2, siglip, siglip2, altclip, chinese_clip, align, blip, blip2),
        *(bert, mpnet, bge, clip_sentences, vlm, vit, dinov2, clap, pe_audio, xclip),
    )
}
