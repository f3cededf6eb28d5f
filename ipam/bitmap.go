package ipam

import "math/bits"

const (
	wordBits = 64
	full     = ^uint64(0)
)

// bitmap knows which numbers from first to last are taken, and finds the lowest
// that is not.
//
// It is a tree of words, 64 children each: a bit of level 0 says that a number
// is taken, a bit above that the whole word below is. A word that is not stored
// is as nothing taken leaves it, so that memory goes with what is taken and not
// with the range.
type bitmap struct {
	first, last uint64
	// skipEnds leaves out what is 0 or 255 modulo 256. Neither first nor last
	// may be, so that no word is full for that reason alone.
	skipEnds bool
	levels   []map[uint64]uint64
}

func newBitmap(first, last uint64, skipEnds bool) bitmap {
	b := bitmap{first: first, last: last, skipEnds: skipEnds}
	for rest := last; ; {
		b.levels = append(b.levels, make(map[uint64]uint64))
		if rest /= wordBits; rest == 0 {
			return b
		}
	}
}

// lowest returns the lowest number that is not taken.
func (b *bitmap) lowest() (uint64, bool) {
	var n uint64
	for level := len(b.levels) - 1; level >= 0; level-- {
		word := b.word(level, n)
		if word == full {
			return 0, false
		}
		n = n*wordBits + uint64(bits.TrailingZeros64(^word))
	}
	return n, true
}

func (b *bitmap) take(n uint64) {
	for level := range b.levels {
		word := b.word(level, n/wordBits) | 1<<(n%wordBits)
		b.levels[level][n/wordBits] = word
		if word != full {
			return
		}
		n /= wordBits
	}
}

func (b *bitmap) release(n uint64) {
	for level := range b.levels {
		was := b.word(level, n/wordBits)
		b.store(level, n/wordBits, was&^(1<<(n%wordBits)))
		if was != full {
			return
		}
		n /= wordBits
	}
}

func (b *bitmap) word(level int, i uint64) uint64 {
	if word, ok := b.levels[level][i]; ok {
		return word
	}
	return b.untouched(level, i)
}

func (b *bitmap) store(level int, i, word uint64) {
	if word == b.untouched(level, i) {
		delete(b.levels[level], i)
		return
	}
	b.levels[level][i] = word
}

// untouched returns word i of level as it is while nothing is taken: with the
// bits set of what lies out of bounds or is skipped.
func (b *bitmap) untouched(level int, i uint64) uint64 {
	first, last := b.first>>(6*level), b.last>>(6*level)
	if i < first/wordBits || i > last/wordBits {
		return full
	}
	var word uint64
	if i == first/wordBits {
		word |= 1<<(first%wordBits) - 1
	}
	if i == last/wordBits {
		word |= ^(full >> (wordBits - 1 - last%wordBits))
	}
	if level == 0 && b.skipEnds {
		switch i % 4 {
		case 0:
			word |= 1
		case 3:
			word |= 1 << (wordBits - 1)
		}
	}
	return word
}
