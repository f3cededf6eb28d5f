package speaker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

// statement is a status that is due on a record as this node wrote it.
type statement struct {
	record  announce.Record
	version string // of the record
}

// state has the status of a record written. The lock is held.
func (l *ledger) state(a *account, name string, s statement) {
	if !a.refused {
		a.statement = &s
		l.outbox.post(letter{aStatus, s.record.Service, name}, 0)
	}
}

// writeStatus repeats a record in its status, where MetalLB's users look for
// it. Nothing here depends on it, so that it is not written where the record is
// another one by now, nor where the API server refuses: MetalLB's own CRD lets
// no node change there.
func (l *ledger) writeStatus(ctx context.Context, about letter) error {
	l.mu.Lock()
	var due *statement
	if a := l.open[about.service][about.name]; a != nil {
		due = a.statement
	}
	l.mu.Unlock()
	if due == nil {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": due.version}, "status": l.statusFields(due.record)})
	if err != nil {
		return fmt.Errorf("computing the status of ServiceL2Status %s: %w", about.name, err)
	}
	object := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: about.name}}
	err = l.client.Status().Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
	hopeless := apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err)
	if err != nil && !hopeless {
		return fmt.Errorf("writing the status of ServiceL2Status %s: %w", about.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.close(about.service, about.name)
	a := l.account(about.service, about.name)
	if a.statement == due {
		a.statement = nil
	}
	a.refused = a.refused || apierrors.IsInvalid(err)
	if err == nil {
		a.echo = &echo{record: due.record, version: object.ResourceVersion, at: time.Now()}
	}
	return nil
}

// statusFields leaves nothing in the status that is not of the record.
func (l *ledger) statusFields(r announce.Record) map[string]any {
	fields := map[string]any{"node": nil, "interfaces": nil, "serviceName": r.Service.Name, "serviceNamespace": r.Service.Namespace}
	if r.Node == l.self {
		fields["node"], fields["interfaces"] = r.Node, infos(l.interfaces(r.Address))
	}
	return fields
}

func infos(names []string) []metallb.InterfaceInfo {
	var all []metallb.InterfaceInfo
	for _, name := range names {
		all = append(all, metallb.InterfaceInfo{Name: name})
	}
	return all
}
