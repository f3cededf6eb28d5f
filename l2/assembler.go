package l2

import (
	"slices"

	"golang.org/x/net/bpf"
)

// assembler writes classic BPF, in which jumps go forward only, conditional
// ones over 255 instructions at most, others as far as they like.
type assembler struct {
	code   []bpf.Instruction
	labels []int         // where each label is bound
	jumps  map[int]label // jump instructions, and where they go
}

type label int

func (a *assembler) label() label {
	a.labels = append(a.labels, -1)
	return label(len(a.labels) - 1)
}

func (a *assembler) bind(l label) { a.labels[l] = len(a.code) }

func (a *assembler) add(instructions ...bpf.Instruction) {
	a.code = append(a.code, instructions...)
}

func (a *assembler) jump(to label) {
	if a.jumps == nil {
		a.jumps = map[int]label{}
	}
	a.jumps[len(a.code)] = to
	a.add(bpf.Jump{})
}

// when jumps if register A compares so with value.
func (a *assembler) when(cond bpf.JumpTest, value uint32, to label) {
	a.add(bpf.JumpIf{Cond: cond, Val: value, SkipFalse: 1})
	a.jump(to)
}

// unless jumps if it does not.
func (a *assembler) unless(cond bpf.JumpTest, value uint32, to label) {
	a.add(bpf.JumpIf{Cond: cond, Val: value, SkipTrue: 1})
	a.jump(to)
}

// whenX jumps if registers A and X are equal.
func (a *assembler) whenX(to label) {
	a.add(bpf.JumpIfX{Cond: bpf.JumpEqual, SkipFalse: 1})
	a.jump(to)
}

// end returns the program: what goes on here, or jumps to no, is dropped.
func (a *assembler) end(yes, no label) []bpf.Instruction {
	a.bind(no)
	a.add(bpf.RetConstant{Val: 0})
	a.bind(yes)
	a.add(bpf.RetConstant{Val: longestFrame})
	for at, to := range a.jumps {
		a.code[at] = bpf.Jump{Skip: uint32(a.labels[to] - at - 1)}
	}
	return a.code
}

// match jumps to hit if the address in the scratch slots from 0 on is in one of
// the sorted ranges, to miss if not.
func (a *assembler) match(sorted []wordRange, hit, miss label) {
	if len(sorted) == 0 {
		a.jump(miss)
		return
	}
	a.matchFrom(0, sorted, hit, miss)
}

// matchFrom compares the words from number word on; those before are known to
// be equal.
func (a *assembler) matchFrom(word int, sorted []wordRange, hit, miss label) {
	a.add(bpf.LoadScratch{Dst: bpf.RegA, N: word})
	var branches []branch
	for _, r := range sorted {
		branches = appendBranches(branches, r)
	}
	for i := range branches {
		branches[i].to = hit
		if branches[i].rest != nil {
			branches[i].to = a.label()
		}
	}
	a.search(branches, miss)
	for _, b := range branches {
		if b.rest != nil {
			a.bind(b.to)
			a.matchFrom(word+1, b.rest, hit, miss)
		}
	}
}

// branch is a range of one word. With rest, that word alone decides nothing.
type branch struct {
	low, high uint32
	rest      []wordRange
	to        label
}

// search jumps to the branch that register A is in, or to miss, halving the
// sorted branches.
func (a *assembler) search(sorted []branch, miss label) {
	if len(sorted) == 1 {
		b := sorted[0]
		if b.low == b.high {
			a.when(bpf.JumpEqual, b.low, b.to)
			a.jump(miss)
			return
		}
		a.unless(bpf.JumpGreaterOrEqual, b.low, miss)
		a.when(bpf.JumpGreaterThan, b.high, miss)
		a.jump(b.to)
		return
	}
	half := len(sorted) / 2
	upper := a.label()
	a.when(bpf.JumpGreaterOrEqual, sorted[half].low, upper)
	a.search(sorted[:half], miss)
	a.bind(upper)
	a.search(sorted[half:], miss)
}

// appendBranches appends what the first word of r has to be. A range over
// several first words has two ends, which go on with the next word, and a
// middle, which does not.
func appendBranches(branches []branch, r wordRange) []branch {
	from, to := r.from[0], r.to[0]
	lower, upper := r.from[1:], r.to[1:]
	if from == to && len(lower) > 0 {
		return appendRest(branches, from, wordRange{lower, upper})
	}
	openBelow, openAbove := all(lower, 0), all(upper, ^uint32(0))
	first, last := uint64(from), uint64(to)
	if !openBelow {
		branches = appendRest(branches, from, wordRange{lower, filled(len(lower), ^uint32(0))})
		first++
	}
	if !openAbove {
		last--
	}
	if first <= last {
		branches = append(branches, branch{low: uint32(first), high: uint32(last)})
	}
	if !openAbove {
		branches = appendRest(branches, to, wordRange{filled(len(upper), 0), upper})
	}
	return branches
}

// appendRest appends a branch of one word, or adds to the one that is there.
func appendRest(branches []branch, word uint32, rest wordRange) []branch {
	if last := len(branches) - 1; last >= 0 && branches[last].rest != nil && branches[last].low == word {
		branches[last].rest = append(branches[last].rest, rest)
		return branches
	}
	return append(branches, branch{low: word, high: word, rest: []wordRange{rest}})
}

func all(words []uint32, value uint32) bool {
	return !slices.ContainsFunc(words, func(w uint32) bool { return w != value })
}

func filled(n int, value uint32) []uint32 { return slices.Repeat([]uint32{value}, n) }
