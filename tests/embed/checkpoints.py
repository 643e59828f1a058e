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


def letters_tokenizer(kind, window=WINDOW):
    """A tokenizer of this class (Gemma's kind) with a token per letter."""
    import transformers

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_lowercase, *string.digits]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return getattr(transformers, kind)(vocab=vocabulary, merges=[], model_max_length=window)


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


def clip(folder, dimension=24):
    """A CLIP as save_pretrained leaves it, with a byte-level tokenizer that knows every text."""
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor

    tokenizer = byte_tokenizer()
    config = CLIPConfig(text_config=text_config(tokenizer), vision_config=VISION, projection_dim=dimension)
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


def cross_encoder(folder, labels=1, window=32):
    """A cross-encoder of texts as transformers saves it: BERT with a head over the first token."""
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = bert_tokenizer(window=window)
    config = BertConfig(**text_config(tokenizer, max_position_embeddings=window), num_labels=labels)
    return write(folder, BertForSequenceClassification(config), tokenizer)


PAIR_TEMPLATE = (
    "{% for message in messages %}{{ message.role[0] }}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
)


def multimodal_cross_encoder(folder):
    """A cross-encoder of texts and images as sentence-transformers saves it: LLaVA, by the logits of "y" and "n"."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = byte_tokenizer(window=256)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    text = text_config(tokenizer, max_position_embeddings=256, num_key_value_heads=2, model_type="llama")
    config = LlavaConfig(
        vision_config=VISION | {"model_type": "clip_vision_model"},
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
    )
    processor = LlavaProcessor(
        image_processor=cropped(),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=PAIR_TEMPLATE,
    )
    plain = folder.with_name(f"{folder.name}-plain")
    write(plain, LlavaForConditionalGeneration(config), processor)
    judge = LogitScore(*tokenizer.convert_tokens_to_ids(["y</w>", "n</w>"]))
    modules = [Transformer(str(plain), transformer_task="any-to-any"), judge]
    CrossEncoder(modules=modules, device="cpu").save(str(folder))
    return folder


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


def library_modules(folder, tokenizer, network, **settings):
    """The first module of a sentence-transformers folder, around a network."""
    from sentence_transformers.base.modules import Transformer

    return Transformer(str(write(folder.with_name(f"{folder.name}-plain"), network, tokenizer)), **settings)


def splade(folder):
    """A SPLADE: the logits of a masked language model, the highest of all tokens."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import SpladePooling
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = bert_tokenizer()
    network = BertForMaskedLM(BertConfig(**text_config(tokenizer)))
    reader = library_modules(folder, tokenizer, network, transformer_task="fill-mask")
    SparseEncoder(modules=[reader, SpladePooling()], device="cpu").save(str(folder))
    return folder


def inference_free(folder):
    """A SPLADE whose queries are weights from a table: a Router chooses."""
    import torch
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = bert_tokenizer()
    network = BertForMaskedLM(BertConfig(**text_config(tokenizer)))
    reader = library_modules(folder, tokenizer, network, transformer_task="fill-mask")
    table = SparseStaticEmbedding(tokenizer=tokenizer, weight=1 + torch.rand(len(tokenizer)))
    router = Router.for_query_document(query_modules=[table], document_modules=[reader, SpladePooling()])
    SparseEncoder(modules=[router], device="cpu").save(str(folder))
    return folder


def colbert(folder):
    """A ColBERT: queries of 8 tokens, masks among them; documents without commas."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize
    from transformers import BertConfig, BertModel

    tokenizer = bert_tokenizer()
    expansion = {"strategy": "fixed", "attend": False, "length": 8}
    network = BertModel(BertConfig(**text_config(tokenizer)))
    reader = library_modules(folder, tokenizer, network, query_expansion=expansion, document_length=14)
    tokens = {"module_input_name": "token_embeddings"}
    shorter = Dense(32, 24, bias=False, activation_function=torch.nn.Identity(), **tokens)
    modules = [reader, shorter, MultiVectorMask(skiplist_words=[","]), Normalize(**tokens)]
    prompts = {"query": "q ", "document": "d "}
    MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu").save(str(folder))
    return folder


def colpali(folder):
    """A ColPali: 16 parts of each image, behind a prompt."""
    from transformers import ColPaliConfig, ColPaliForRetrieval, ColPaliProcessor

    images = square("SiglipImageProcessorPil")
    images.image_seq_length = 16
    processor = ColPaliProcessor(image_processor=images, tokenizer=letters_tokenizer("GemmaTokenizer", 64))
    heads = {"num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 128}
    text = text_config(processor.tokenizer, model_type="gemma", **heads)
    vision = VISION | {"model_type": "siglip_vision_model", "vision_use_head": False}
    pages = {"model_type": "paligemma", "text_config": text, "vision_config": vision, "projection_dim": 32}
    config = ColPaliConfig(
        vlm_config=pages | {"image_token_index": processor.image_token_id}, embedding_dim=24
    )
    return write(folder, ColPaliForRetrieval(config), processor)


def qwen_tokenizer(window):
    """Qwen's tokenizer without merges: a token per byte, and those around an image."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    names = ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
    special = [f"<|{name}|>" for name in names]
    vocabulary = {token: number for number, token in enumerate([*sorted(ByteLevel.alphabet()), *special])}
    return Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[],
        model_max_length=window,
        extra_special_tokens=special,
        pad_token=special[0],
        padding_side="left",
    )


def colqwen2(folder):
    """A ColQwen2: as many parts of an image as it has squares of 16 pixels."""
    from transformers import ColQwen2Config, ColQwen2ForRetrieval, ColQwen2Processor, Qwen2VLImageProcessorPil

    tokenizer = qwen_tokenizer(64)
    size = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    images = Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, temporal_patch_size=2, size=size)
    heads = {"num_key_value_heads": 1, "max_position_embeddings": 256}
    ropes = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    text = text_config(tokenizer, **heads, rope_parameters=ropes)
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
    vision |= {"patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2}
    names = {"image_token_id": "image_pad", "video_token_id": "video_pad"}
    names |= {"vision_start_token_id": "vision_start", "vision_end_token_id": "vision_end"}
    tokens = {name: tokenizer.convert_tokens_to_ids(f"<|{token}|>") for name, token in names.items()}
    pages = {"model_type": "qwen2_vl", "text_config": text, "vision_config": vision}
    config = ColQwen2Config(vlm_config=pages | tokens, embedding_dim=24)
    processor = ColQwen2Processor(image_processor=images, tokenizer=tokenizer)
    return write(folder, ColQwen2ForRetrieval(config), processor)


def modernvbert_tokenizer(window):
    """A token per byte, and those around the tiles of an image."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    special = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *tiles]
    tokens = ["[PAD]", "[CLS]", "[SEP]", *special, *sorted(ByteLevel.alphabet())]
    backend = Tokenizer(BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=[]))
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    named = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=window, additional_special_tokens=special, **named
    )


def colmodernvbert(folder):
    """A ColModernVBert: four parts of each tile of 32 pixels, and of the whole image."""
    import transformers

    tokenizer = modernvbert_tokenizer(64)
    tile = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
    images = transformers.Idefics3ImageProcessorPil(**tile)
    processor = transformers.ColModernVBertProcessor(images, tokenizer, image_seq_len=4)
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    text = text_config(processor.tokenizer, model_type="modernbert", max_position_embeddings=512) | tokens
    vision = VISION | {"model_type": "siglip_vision_model", "vision_use_head": False}
    pages = {"model_type": "modernvbert", "text_config": text, "vision_config": vision}
    pages |= {"pixel_shuffle_factor": 2, "image_token_id": processor.image_token_id}
    config = transformers.ColModernVBertConfig(vlm_config=pages, embedding_dim=24)
    return write(folder, transformers.ColModernVBertForRetrieval(config), processor)


def page_modules(folder):
    """A ColQwen2 as sentence-transformers saves it, which keeps the parts of images alone."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    plain = colqwen2(folder.with_name(f"{folder.name}-plain"))
    reader = Transformer(str(plain), transformer_task="retrieval")
    kept = reader.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    modules = [reader, MultiVectorMask(keep_only_token_ids=[kept])]
    MultiVectorEncoder(modules=modules, device="cpu").save(str(folder))
    return folder


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
        *(splade, inference_free, colbert, colpali, colqwen2, colmodernvbert, page_modules),
    )
}
