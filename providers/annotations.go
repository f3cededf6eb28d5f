package providers

// Names that Berth writes on Services.
const (
	// AnnotationBackend records who serves a Service, as installation/backend,
	// so that what it holds is released there when the choice changes, and by
	// nobody else.
	AnnotationBackend = "berth-lb.dev/backend"
	// ConditionProvisioned is True when the address or load balancer exists.
	ConditionProvisioned = "berth-lb.dev/Provisioned"
	// ConditionServing is True when traffic that arrives there can reach a
	// ready pod.
	ConditionServing = "berth-lb.dev/Serving"
)
