package main

import (
	"testing"
	"time"

	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

func TestSoonest(t *testing.T) {
	tests := map[string]struct {
		calls map[string]int
		want  time.Duration
	}{
		"a full bucket is there at once": {map[string]int{"elasticloadbalancing:CreateListener": 20}, 0},
		"then what is refilled":          {map[string]int{"elasticloadbalancing:CreateListener": 50}, time.Second},
		"changes share a bucket":         {map[string]int{"elasticloadbalancing:CreateListener": 25, "elasticloadbalancing:RegisterTargets": 25}, time.Second},
		"those of EC2 do not":            {map[string]int{"ec2:CreateTags": 50, "ec2:CreateSecurityGroup": 50}, 0},
		"the slowest bucket counts":      {map[string]int{"elasticloadbalancing:CreateListener": 50, "ec2:CreateTags": 200}, 3 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := soonest(tt.calls); got != tt.want {
				t.Errorf("%v takes %v, want %v", tt.calls, got, tt.want)
			}
		})
	}
}

func TestRegistrations(t *testing.T) {
	register := func(code, group, targets string) fakeaws.Call {
		return fakeaws.Call{Action: "RegisterTargets", Code: code, Parameters: "TargetGroupArn=" + group + " " + targets}
	}
	calls := []fakeaws.Call{
		register("", "a", "Targets.member.1.Id=i-1 Targets.member.1.Port=80 Targets.member.2.Id=i-2 Targets.member.2.Port=80"),
		register("Throttling", "b", "Targets.member.1.Id=i-1"),
		register("", "b", "Targets.member.1.Id=i-1"),
		register("", "a", "Targets.member.1.Id=i-2"),
		{Action: "CreateListener"},
	}
	if groups, most, repeated := registrations(calls); groups != 2 || most != 2 || repeated != 1 {
		t.Errorf("%d groups, at most %d calls, %d targets repeated; want 2, 2, 1", groups, most, repeated)
	}
}

// A deployment that is rolled never has fewer ready pods than it may, nor more
// that stay, and ends with new ones.
func TestDeployment(t *testing.T) {
	for _, d := range []*deployment{{replicas: 1}, {replicas: 4}, {replicas: 1, gated: true}, {replicas: 4, gated: true}} {
		now := time.Now()
		d.settle(now, 0)
		d.roll()
		least, most := d.settle(now.Add(time.Hour), d.replicas)
		if wantLeast, wantMost := d.replicas-d.replicas/4, d.replicas+(d.replicas+3)/4; least < wantLeast || most > wantMost {
			t.Errorf("%d pods: %d to %d, want %d to %d", d.replicas, least, most, wantLeast, wantMost)
		}
		for _, p := range d.pods {
			if old := p.generation != d.generation; old != !p.told.IsZero() {
				t.Errorf("%d pods: one of generation %d was told %v", d.replicas, p.generation, p.told)
			}
		}
	}
}

// settle has a minute pass in which gates open, and returns the fewest pods that
// were ready and the most that stayed.
func (d *deployment) settle(now time.Time, ready int) (least, most int) {
	least = ready
	for end := now.Add(time.Minute); now.Before(end); now = now.Add(50 * time.Millisecond) {
		d.step(now)
		least = min(least, d.count(d.ready))
		most = max(most, d.count(func(p *pod) bool { return p.told.IsZero() }))
		healthy := map[string]string{}
		for address := range d.waiting() {
			healthy[address] = ""
		}
		d.open(healthy)
	}
	return least, most
}
