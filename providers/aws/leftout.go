package aws

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	smithy "github.com/aws/smithy-go"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers/aws/plan"
)

// invalidTarget is AWS's code for a target that it does not take, as an instance
// that does not run: it refuses all that are in the call with it.
const invalidTarget = "InvalidTarget"

// refusedBy returns those of targets that AWS says it does not take, and the others.
// Where there is only one it is that one, whatever AWS says.
func refusedBy(targets []plan.Target, err error) (refused, others []plan.Target) {
	if len(targets) == 1 {
		return targets, nil
	}
	words := ""
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		words = answer.ErrorMessage()
	}
	named := map[string]bool{}
	for _, word := range strings.FieldsFunc(words, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-.:", c)
	}) {
		named[strings.TrimRight(word, ".:")] = true
	}
	for _, t := range targets {
		if named[t.ID] {
			refused = append(refused, t)
		} else {
			others = append(others, t)
		}
	}
	return refused, others
}

// leftOut is what AWS said of a target that it did not take, and when.
type leftOut struct {
	words string
	at    time.Time
}

// leaveOut notes targets that AWS does not take, and what it said of them.
func (e *execution) leaveOut(targets []plan.Target, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leftOut == nil {
		e.leftOut = map[string]leftOut{}
	}
	for _, t := range targets {
		if was, told := e.leftOut[t.ID]; !told || said(err) < was.words {
			e.leftOut[t.ID] = leftOut{said(err), time.Now()}
		}
	}
}

// postpone takes out of changes the targets that AWS did not take a moment ago, and
// returns them: with many Services and many pods that come and go it would be asked
// again and again.
func postpone(changes []plan.Change, before map[string]leftOut) (now []plan.Change, later map[string]leftOut) {
	later = map[string]leftOut{}
	for _, c := range changes {
		if r, ok := c.(plan.RegisterTargets); ok {
			r.Targets = slices.DeleteFunc(slices.Clone(r.Targets), func(t plan.Target) bool {
				was, told := before[t.ID]
				if told = told && time.Since(was.at) < afterUse; told {
					later[t.ID] = was
				}
				return told
			})
			if c = r; len(r.Targets) == 0 {
				continue
			}
		}
		now = append(now, c)
	}
	return now, later
}

// againFor says when targets are to be tried again: those that were postponed as
// soon as they may be.
func againFor(now, before map[string]leftOut) time.Time {
	at := time.Now().Add(afterMistake)
	for id, l := range now {
		if l == before[id] && l.at.Add(afterUse).Before(at) {
			at = l.at.Add(afterUse)
		}
	}
	return at
}

// shownTargets is how many targets a warning names.
const shownTargets = 5

// leftOutOf tells the user of targets that were left out, nodes by their names.
func leftOutOf(all map[string]leftOut, nodes []*corev1.Node) (warnings []string) {
	names := map[string]string{}
	for _, n := range nodes {
		names[n.Spec.ProviderID[strings.LastIndexByte(n.Spec.ProviderID, '/')+1:]] = "node " + n.Name
	}
	byWords := map[string][]string{}
	for _, id := range sortedKeys(all) {
		name := id
		if node := names[id]; node != "" {
			name = node
		}
		byWords[all[id].words] = append(byWords[all[id].words], name)
	}
	for _, words := range sortedKeys(byWords) {
		all := byWords[words]
		slices.Sort(all)
		text := strings.Join(all[:min(len(all), shownTargets)], ", ")
		if more := len(all) - shownTargets; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		warnings = append(warnings, fmt.Sprintf("AWS does not take as a target: %s: %s", text, words))
	}
	return warnings
}
