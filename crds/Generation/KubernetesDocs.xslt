<?xml version="1.0" encoding="utf-8"?>
<!-- Keeps the documentation of the Kubernetes types that the schemas embed. A type that is missing here shows as a field
     without a description, which a test refuses. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="xml" indent="no" />
  <xsl:variable name="types"> V1Condition V1ResourceRequirements Corev1ResourceClaim V1Toleration V1TopologySpreadConstraint V1LabelSelector V1LabelSelectorRequirement V1NetworkPolicyPeer V1IPBlock V1ObjectMeta V1OwnerReference V1ManagedFieldsEntry </xsl:variable>
  <xsl:template match="/doc">
    <doc><members><xsl:apply-templates select="members/member" /></members></doc>
  </xsl:template>
  <xsl:template match="member">
    <!-- The name is T:k8s.Models.TYPE or P:k8s.Models.TYPE.PROPERTY. -->
    <xsl:variable name="type" select="substring-before(concat(substring-after(@name, ':k8s.Models.'), '.'), '.')" />
    <xsl:if test="$type != '' and contains($types, concat(' ', $type, ' ')) and (starts-with(@name, 'P:') or starts-with(@name, 'T:'))">
      <xsl:copy-of select="." />
    </xsl:if>
  </xsl:template>
</xsl:stylesheet>
