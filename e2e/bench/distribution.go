package main

import (
	"fmt"
	"slices"
	"time"
)

// distribution is of times that were measured again and again.
type distribution []time.Duration

func (d distribution) p(percent int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return percentile(d, percent)
}

func (d distribution) max() time.Duration {
	if len(d) == 0 {
		return 0
	}
	return slices.Max(d)
}

func (d distribution) String() string {
	if len(d) == 0 {
		return "nothing measured"
	}
	return fmt.Sprintf("p50 %s, p99 %s, max %s", brieflyMS(d.p(50)), brieflyMS(d.p(99)), brieflyMS(d.max()))
}

// brieflyMS is in milliseconds, with a decimal where that tells something.
func brieflyMS(d time.Duration) string {
	if d >= 100*time.Millisecond {
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	}
	return ms(d)
}
