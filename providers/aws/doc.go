// Package aws serves Services by AWS Network Load Balancers: it observes what
// AWS holds for a Service and makes the changes that package plan decides.
package aws
