#!/bin/sh
# Trains the bundled model again, from nothing: sh models/train.sh CORPUS PAIRS OUTPUT
#   CORPUS  a directory with train.txt.gz, valid.txt (documents separated by blank lines) and vocab.txt
#   PAIRS   a directory with pairs_tatoeba_zh_en/train.tsv and pairs_docs_zh_en/train.tsv (columns zh and en)
#   OUTPUT  a directory that exists
# About two hours on two processor cores with AVX-512. Run again after an interruption, it goes on where it was.
set -eu
corpus=$1 pairs=$2 output=$3
qkv() { dotnet run --project "$(dirname "$0")/../src/Qkv.App" -c Release -- "$@"; }

# Translations, aligned paragraphs and neighbouring sentences; a thousand translations held out. No dropout: every text is read about once.
embed() {
    qkv train embed --input "$pairs/pairs_tatoeba_zh_en/train.tsv" --input "$pairs/pairs_docs_zh_en/train.tsv" --hold-out 1000 \
        --text "$corpus/train.txt.gz" --text-share 0.15 --mlm "$corpus/train.txt.gz" --dropout 0 --attention-dropout 0 "$@"
}

# 1. Masked language model, 26.6 million tokens: short windows first, until attention is learned.
qkv train mlm --input "$corpus/train.txt.gz" --valid "$corpus/valid.txt" --vocabulary "$corpus/vocab.txt" \
    --layers 4 --hidden 256 --heads 4 --intermediate 1024 --curriculum 40:0.3,128:0.82,512:1 \
    --learning-rate 0.001 --steps 11000 --stop-after 6501 --seed 7 --output "$output/words"

# 2. Embeddings and masked language model together, one encoder.
embed --model "$output/words" --mlm-lengths 128,512 --batch-pairs 96 --batch-tokens 4096 \
    --learning-rate 0.0005 --steps 1500 --evaluate-every 1500 --stop-after 836 --seed 7 --output "$output/pairs"

# 3. Long windows at a higher rate: the positions from 128 on must be learned too.
embed --model "$output/pairs" --mlm-lengths 512,512,512,512,512,128 --mlm-tokens 8192 --batch-pairs 48 --batch-tokens 2048 \
    --learning-rate 0.001 --warm-up 0.03 --steps 1200 --evaluate-every 1200 --stop-after 302 --seed 8 --output "$output/positions"

# 4. Everything together until the learning rate is zero.
embed --model "$output/positions" --mlm-lengths 128,512 --batch-pairs 96 --batch-tokens 4096 \
    --learning-rate 0.0008 --warm-up 0.03 --steps 800 --evaluate-every 800 --seed 9 --output "$output/model"

# 5. As it is bundled: float16, 12 MB.
test -d "$output/bundled" || qkv convert --model "$output/model" --output "$output/bundled"

# 6. What the model card says.
qkv evaluate mlm --model "$output/bundled" --input "$corpus/valid.txt" --seed 99
qkv evaluate mlm --model "$output/bundled" --input "$corpus/valid.txt" --seed 99 --length 512
qkv evaluate embed --model "$output/bundled" --input "$pairs/pairs_tatoeba_zh_en/train.tsv" --hold-out 1000
qkv evaluate heads --model "$output/bundled" --input "$corpus/valid.txt"
