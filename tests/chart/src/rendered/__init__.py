"""The chart as Kubernetes would get it, rendered without a cluster.

`rendered.helm` renders every variant of the values, by Helm 4 (a library) and by the helm that is
installed; `rendered.objects` names what policies ask for: pods, containers, selectors;
`rendered.network` decides which connections NetworkPolicies let pass; `rendered.running` renders
beside a release that runs, out of a stand-in for the API of Kubernetes.

A service that is added to the chart is in all of it by itself: tests ask about every pod, every
Service and every policy that is rendered, never about a list of names.

Caveats: but for `rendered.running`, which needs helm, nothing is looked up in a cluster, so a
generated Secret differs from render to render, and checks against a running release are not made.
"""
