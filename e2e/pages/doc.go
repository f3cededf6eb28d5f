// Package pages follows pages of the documentation as their readers would: it
// runs the commands that they give, with a real Helm and kubectl, against a
// cluster of the lab in which Berth's pods run.
package pages
