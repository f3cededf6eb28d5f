package speaker

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/api/v1beta1"
)

const noSecret = `there is no Secret "key" of type kubernetes.io/basic-auth in namespace ` + testNamespace

func TestAPeerWaitsForItsPassword(t *testing.T) {
	in(t, func(t *testing.T) {
		secured := withSecret(router("secured", "10.0.0.2"), "key")
		w := newWorld(t, append(routed([]string{"a"}, tor, secured), web, endpoints("web", "a"))...)
		a := w.start("a")
		equalStrings(w, "calls", a.takeCalls(), "peers tor", "announce "+webRoute+" secured+tor", "synced")
		w.wantSessions("a", "0/2; secured Idle "+noSecret+"; tor Active")
		if got, want := w.summaryOf("a"), "BGPPeer secured spec.passwordSecret.name: "+noSecret; got != want {
			t.Errorf("the report is %q, want %q", got, want)
		}
		a.turns("tor", true, "")

		w.put(passwordSecret("key", "s3cret"))
		if password, ok := a.password("secured"); !ok || password != "s3cret" {
			t.Errorf("BGP knows the peer: %t, with the password %q", ok, password)
		}
		if got := w.summaryOf("a"); got != "" {
			t.Errorf("the report is still %q", got)
		}
		w.wantSessions("a", "1/2; secured Active; tor Established")
		w.put(passwordSecret("key", "0ther"))
		if password, _ := a.password("secured"); password != "0ther" {
			t.Errorf("BGP has the password %q", password)
		}
		a.takeCalls()
		w.put(passwordSecret("key", "0ther"))
		w.put(passwordSecret("foreign", "x"))
		equalStrings(w, "calls when no password changed", a.takeCalls())
	})
}

// Secrets that can't be changed are replaced by deleting them.
func TestASessionOutlivesItsSecret(t *testing.T) {
	in(t, func(t *testing.T) {
		key := passwordSecret("key", "s3cret")
		w := newWorld(t, append(routed([]string{"a"}, withSecret(tor.DeepCopy(), "key")), key)...)
		a := w.start("a")
		a.turns("tor", true, "")
		a.takeCalls()
		w.remove(key)
		equalStrings(w, "calls while it is away", a.takeCalls())
		if got := w.summaryOf("a"); !strings.Contains(got, noSecret+"; the session goes on with the password that it had") {
			t.Errorf("the report is %q", got)
		}
		w.wantSessions("a", "1/1; tor Established")
		w.put(passwordSecret("key", "0ther"))
		if password, _ := a.password("tor"); password != "0ther" {
			t.Errorf("BGP has the password %q", password)
		}
	})
}

func TestPasswords(t *testing.T) {
	typed := passwordSecret("key", "s3cret")
	typed.Type = corev1.SecretTypeOpaque
	elsewhere := passwordSecret("key", "s3cret")
	elsewhere.Namespace = "other"
	unnamed := passwordSecret("key", "")
	unnamed.Data = map[string][]byte{"username": []byte("u"), "Password": []byte("s3cret")}
	for _, tc := range []struct {
		reason   string
		secret   *corev1.Secret
		password string
		fault    string
	}{
		{"as it should be", passwordSecret("key", "s3cret"), "s3cret", ""},
		{"made from a file that ends in a line break", passwordSecret("key", "s3cret\r\n"), "s3cret", ""},
		{"blanks are part of it", passwordSecret("key", " s3 cret "), " s3 cret ", ""},
		{"another type", typed, "", noSecret},
		{"another namespace", elsewhere, "", noSecret},
		{"no such key", unnamed, "", `Secret "key" has nothing under the key "password"`},
		{"nothing in it", passwordSecret("key", "\n"), "", `Secret "key" has nothing under the key "password"`},
		{"as long as can be", passwordSecret("key", strings.Repeat("a", 80)), strings.Repeat("a", 80), ""},
		{"longer", passwordSecret("key", strings.Repeat("a", 81)), "", `the password in Secret "key" is longer than the 80 bytes that Linux allows`},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t, append(routed([]string{"a"}), tc.secret)...)
				password, fault := w.start("a").Speaker.password("key")
				if password != tc.password || fault != tc.fault {
					t.Errorf("got %q, %q", password, fault)
				}
			})
		})
	}
}

func TestPasswordsAreWrittenNowhere(t *testing.T) {
	in(t, func(t *testing.T) {
		inline := router("inline", "10.0.0.3")
		inline.Spec.Password = "verys3cret"
		long := passwordSecret("long", strings.Repeat("verys3cret", 10))
		w := newWorld(t, append(routed([]string{"a"}, inline, withSecret(tor.DeepCopy(), "key"), withSecret(router("z", "10.0.0.4"), "long")),
			passwordSecret("key", "verys3cret"), long)...)
		a := w.start("a")
		a.turns("tor", true, "")
		a.turns("tor", false, "the router closed the connection")
		time.Sleep(time.Minute)
		var states metallb.ConfigurationStateList
		var sessions v1beta1.BGPNodeStatusList
		if err := w.api.List(t.Context(), &states); err != nil {
			t.Fatal(err)
		}
		if err := w.api.List(t.Context(), &sessions); err != nil {
			t.Fatal(err)
		}
		written, err := json.Marshal([]any{states, sessions, a.events.take()})
		if err != nil {
			t.Fatal(err)
		}
		if len(sessions.Items) != 1 || strings.Contains(string(written), "s3cret") {
			t.Errorf("written is %s", written)
		}
	})
}
